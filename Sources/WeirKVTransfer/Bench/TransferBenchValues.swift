// What a transfer bench measures, as values.

public import WeirBasics

/// Ways to move the same KV (FlowKV's digest, section 5; mode c, layer by layer during prefill, needs a model).
public enum TransferBenchMode: String, Sendable, CaseIterable {
  /// One call per block, layer and side, each awaited: block-wise, as the paper's baseline.
  case layerAwaited = "a"
  /// The same calls, up to 64 in flight.
  case layerWindow = "b"
  /// Copied into a staging buffer, one call, copied out by the receiver.
  case staged = "d"
  /// Block-major: one call per block, 64 in flight.
  case blocks = "e"
  /// Block-major, segments on both sides, one call per co-run (FlowKV).
  case coRuns = "f"
  /// One call for as many bytes in one place: what the transport can do.
  case raw = "raw"
}

/// The switches of a transfer bench.
public struct TransferBenchConfiguration: Sendable {
  public var path: UCXConfiguration.Path
  /// Geometry of the KV; defaults to a 1.1B Llama.
  public var shape = KVShape(
    layers: 22, kvHeads: 4, headDim: 64, blockSlots: 16, keyType: .f16, valueType: .f16)
  public var tokens = 4096
  public var repeats = 20
  public var modes = TransferBenchMode.allCases
  /// Longest piece over TCP, in bytes.
  public var streamPieceBytes = 256 << 10
  /// Co-runs that mode f has to move; `ChurnStudy` says how many there are.
  public var coRuns = 4
  public var seed: UInt64 = 1
  /// Keeps sender and receiver on a processor each.
  public var pinned = true

  public init(path: UCXConfiguration.Path) { self.path = path }

  var blocks: Int { shape.blockCount(tokens: tokens) }
  /// Room for scattered ids, and for fragmentation.
  var blockLimit: Int { blocks * 3 }
}

/// One mode's figures.
public struct TransferBenchResult: Sendable {
  public var mode: TransferBenchMode
  /// Bytes of one (block, layer, side) piece.
  public var pieceBytes: Int
  public var operations: Int
  public var bytes: Int
  /// From the first call until everything is visible at the receiver, and scattered there; sorted.
  public var seconds: [Double]
  /// Processor seconds per transfer.
  public var senderCPUSeconds: Double
  public var receiverCPUSeconds: Double
  /// Transfers whose bytes were right at the receiver.
  public var verified: Int

  public var medianSeconds: Double { seconds.isEmpty ? 0 : seconds[seconds.count / 2] }
  public var bestSeconds: Double { seconds.first ?? 0 }
}

/// What the two processes of a bench say to each other.
enum TransferBenchMessage {
  /// Sum the given blocks and answer with the checksum.
  case sum([BlockID])
  /// Copy the staging buffer's blocks to these places, then answer.
  case scatter([BlockID])
  /// Answer with the processor time used so far.
  case cpu
  case answer(UInt64)

  var bytes: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .sum(let blocks), .scatter(let blocks):
      if case .sum = self { writer.put(UInt8(1)) } else { writer.put(UInt8(2)) }
      writer.put(count: blocks.count)
      for block in blocks { writer.put(block.rawValue) }
    case .cpu: writer.put(UInt8(3))
    case .answer(let value):
      writer.put(UInt8(4))
      writer.put(value)
    }
    return writer.bytes
  }

  init(bytes: [UInt8]) throws(MessageFault) {
    var reader = ByteReader(bytes)
    let kind = try reader.byte()
    switch kind {
    case 1, 2:
      var blocks: [BlockID] = []
      for _ in 0..<(try reader.count("blocks", limit: HandoffMessage.blockLimit)) {
        blocks.append(BlockID(rawValue: try reader.integer()))
      }
      self = kind == 1 ? .sum(blocks) : .scatter(blocks)
    case 3: self = .cpu
    case 4: self = .answer(try reader.integer())
    default: throw .unknownKind(kind)
    }
    try reader.finish()
  }
}
