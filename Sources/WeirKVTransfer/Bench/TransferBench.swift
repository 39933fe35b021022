// The sending process of a transfer bench: all modes side by side, interleaved, every transfer checked.

public import Foundation
import WeirBasics
import WeirKVCache

/// Moves the same KV in different ways between two processes and takes the time.
///
/// A time runs from the first call until everything is visible at the receiver (and scattered there, in mode d). The
/// modes take turns, so that a busy machine disturbs all of them alike. Nothing sleeps between calls.
public final class TransferBench {
  private let configuration: TransferBenchConfiguration
  private let node: TransferBenchNode
  private let process: Process
  private var peer = PeerID(rawValue: 0)
  /// Ids as a free list leaves them, and as segment allocators with hints do.
  private let scattered: (source: [BlockID], destination: [BlockID])
  private let segments: (source: [BlockID], destination: [BlockID])

  /// Starts the receiving process and connects to it.
  ///
  /// - Parameters:
  ///   - configuration: what to move and how often.
  ///   - executable: program that calls `TransferBenchPeer.run` with its last argument and writes the announced line.
  ///   - arguments: what comes before that argument.
  /// - Throws: what transport, memory or system refuse.
  public init(_ configuration: TransferBenchConfiguration, executable: URL, arguments: [String]) throws {
    self.configuration = configuration
    scattered = TransferBench.scatteredBlocks(configuration)
    segments = TransferBench.segmentBlocks(configuration)
    process = Process()
    process.executableURL = executable
    process.arguments = arguments + [configuration.word]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let line = TransferBench.firstLine(pipe.fileHandleForReading)
    do {
      node = try TransferBenchNode(configuration, processor: configuration.pinned ? 0 : nil)
    } catch {
      process.terminate()
      throw error
    }
    try connect(to: line)
    fill()
  }

  deinit {
    node.transport.close()
    process.terminate()
    process.waitUntilExit()
  }

  /// The other process, for tests that end it.
  public var peerProcessID: Int32 { process.processIdentifier }

  /// Runs every mode `repeats` times in turn, after one turn that is not counted.
  ///
  /// - Returns: one result per mode, in the order of the configuration.
  /// - Throws: what a transfer fails with, or a checksum that differs.
  public func run() throws -> [TransferBenchResult] {
    let piece = configuration.shape.keyPartBytes
    var results = configuration.modes.map {
      TransferBenchResult(
        mode: $0, pieceBytes: piece, operations: 0, bytes: 0, seconds: [], senderCPUSeconds: 0, receiverCPUSeconds: 0,
        verified: 0)
    }
    for turn in 0...configuration.repeats {
      for index in results.indices {
        let once = try measure(results[index].mode, stamp: UInt64(turn * 16 + index + 1))
        guard turn > 0 else { continue }
        let weight = 1 / Double(configuration.repeats)
        results[index].operations = once.operations
        results[index].bytes = once.bytes
        results[index].seconds.append(once.seconds)
        results[index].senderCPUSeconds += once.senderCPUSeconds * weight
        results[index].receiverCPUSeconds += once.receiverCPUSeconds * weight
        results[index].verified += 1
      }
    }
    for index in results.indices { results[index].seconds.sort() }
    return results
  }

  private struct Once {
    var operations = 0
    var bytes = 0
    var seconds = 0.0
    var senderCPUSeconds = 0.0
    var receiverCPUSeconds = 0.0
  }

  private func measure(_ mode: TransferBenchMode, stamp: UInt64) throws -> Once {
    let ids = mode == .coRuns || mode == .raw ? segments : scattered
    // New bytes each time: what an earlier mode left at the receiver must not pass for a transfer.
    for block in ids.source { node.bytes(block).storeBytes(of: stamp &* 0x9E37_79B9, as: UInt64.self) }
    if mode == .raw { node.staging.storeBytes(of: stamp, as: UInt64.self) }
    var once = Once()
    let receiverBefore = try ask(.cpu)
    let senderBefore = TransferBenchNode.cpuSeconds()
    let start = node.clock.now()
    (once.operations, once.bytes) = try transfer(mode, ids)
    once.seconds = node.clock.now().seconds(since: start)
    once.senderCPUSeconds = TransferBenchNode.cpuSeconds() - senderBefore
    once.receiverCPUSeconds = Double(try ask(.cpu) - receiverBefore) / 1e6
    guard mode != .raw else { return once }
    guard try ask(.sum(ids.destination)) == node.checksum(ids.source) else {
      throw TransportError(.protocolFault, "mode \(mode.rawValue) brought wrong bytes")
    }
    return once
  }

  private func transfer(
    _ mode: TransferBenchMode, _ ids: (source: [BlockID], destination: [BlockID])
  ) throws -> (Int, Int) {
    let size = configuration.shape.blockBytes
    let limit = configuration.path == .tcp ? configuration.streamPieceBytes : nil
    let whole = [CoRun(source: BlockID(0), destination: BlockID(0), count: ids.source.count)]
    switch mode {
    case .layerAwaited:
      let pieces = TransferPlan.layerPieces(
        source: ids.source, destination: ids.destination, shape: configuration.shape)
      for piece in pieces { try move([piece]) }
      return (pieces.count, pieces.reduce(0) { $0 + $1.byteCount })
    case .layerWindow:
      return try move(
        TransferPlan.layerPieces(source: ids.source, destination: ids.destination, shape: configuration.shape))
    case .staged:
      for (index, block) in ids.source.enumerated() {
        UnsafeMutableRawBufferPointer(rebasing: node.staging[(index * size)..<((index + 1) * size)])
          .copyMemory(from: UnsafeRawBufferPointer(node.bytes(block)))
      }
      let moved = try move(
        TransferPlan.pieces(whole, blockBytes: size, pieceBytes: limit), region: TransferBenchNode.stagingRegion
      )
      _ = try ask(.scatter(ids.destination))
      return moved
    case .blocks:
      let runs = zip(ids.source, ids.destination).map { CoRun(source: $0, destination: $1, count: 1) }
      return try move(TransferPlan.pieces(runs, blockBytes: size, pieceBytes: limit))
    case .coRuns:
      let runs = TransferPlan.plan(source: ids.source, destination: ids.destination)
      return try move(TransferPlan.pieces(runs, blockBytes: size, pieceBytes: limit))
    case .raw:
      return try move(
        TransferPlan.pieces(whole, blockBytes: size, pieceBytes: limit), region: TransferBenchNode.stagingRegion
      )
    }
  }

  @discardableResult private func move(
    _ pieces: [TransferPiece], region: RegionID = TransferBenchNode.arenaRegion
  ) throws -> (Int, Int) {
    let operation = try node.transport.put(
      pieces, from: region, to: peer, region: region, deadline: node.clock.now().advanced(bySeconds: 60))
    while true {
      for event in node.transport.poll() {
        switch event {
        case .completed(operation, let report): return (report.operations, report.bytes)
        case .failed(operation, let error), .lost(_, let error): throw error
        default: break
        }
      }
    }
  }

  private func ask(_ message: TransferBenchMessage) throws -> UInt64 {
    _ = try node.transport.send(message.bytes, to: peer, deadline: node.clock.now().advanced(bySeconds: 10))
    while true {
      for event in node.transport.poll() {
        switch event {
        case .message(_, let bytes):
          if case .answer(let value) = try TransferBenchMessage(bytes: bytes) { return value }
        case .lost(_, let error): throw error
        default: break
        }
      }
    }
  }

  private func connect(to address: String) throws {
    let deadline = node.clock.now().advanced(bySeconds: 10)
    peer = try node.transport.connect(to: address, deadline: deadline)
    while node.clock.now() < deadline {
      for event in node.transport.poll() {
        if case .connected = event { return }
        if case .lost(_, let error) = event { throw error }
      }
      node.transport.wait(seconds: 0.01)
    }
    throw TransportError(.deadlinePassed, "the receiving process did not answer")
  }

  private func fill() {
    var random = SeededGenerator(seed: configuration.seed)
    for index in 0..<configuration.blockLimit {
      let words = node.bytes(BlockID(index)).bindMemory(to: UInt64.self)
      for word in words.indices { words[word] = random.next() }
    }
  }

  private static func firstLine(_ handle: FileHandle) -> String {
    var bytes: [UInt8] = []
    while let byte = (try? handle.read(upToCount: 1))?.first, byte != UInt8(ascii: "\n") { bytes.append(byte) }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func scatteredBlocks(
    _ configuration: TransferBenchConfiguration
  ) -> (source: [BlockID], destination: [BlockID]) {
    var random = SeededGenerator(seed: configuration.seed)
    func draw() -> [BlockID] {
      Array((0..<configuration.blockLimit).map { BlockID($0) }.shuffled(using: &random).prefix(configuration.blocks))
    }
    return (draw(), draw())
  }

  /// Blocks in `coRuns` runs with gaps between them on both sides, in another order at the receiver.
  private static func segmentBlocks(
    _ configuration: TransferBenchConfiguration
  ) -> (source: [BlockID], destination: [BlockID]) {
    let runs = min(max(1, configuration.coRuns), configuration.blocks)
    var (source, destination): ([BlockID], [BlockID]) = ([], [])
    for run in 0..<runs {
      let range = (run * configuration.blocks / runs)..<((run + 1) * configuration.blocks / runs)
      source += range.map { BlockID($0 + run) }
      // The last run first: the arena has three times the room.
      let start = (runs - 1 - run) * (configuration.blocks / runs + 2)
      destination += range.indices.map { BlockID($0 - range.lowerBound + start) }
    }
    return (source, destination)
  }
}
