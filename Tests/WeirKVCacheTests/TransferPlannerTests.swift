// Pieces, hints, costs and streams: what is decided before a byte moves.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct TransferPieceTests {
  @Test func aRunIsOnePieceWithoutALimit() {
    let runs = [CoRun(source: 4, destination: 10, count: 3), CoRun(source: 1, destination: 2, count: 1)]
    let pieces = TransferPlan.pieces(runs, blockBytes: 128)
    #expect(
      pieces == [
        TransferPiece(sourceOffset: 512, destinationOffset: 1280, byteCount: 384),
        TransferPiece(sourceOffset: 128, destinationOffset: 256, byteCount: 128),
      ])
  }

  @Test(arguments: [64, 100, 256, 1000, 1 << 20]) func longRunsAreCutAndNothingIsLost(limit: Int) {
    let runs = TransferPlan.plan(source: [3, 4, 5, 9, 2], destination: [7, 8, 9, 1, 2])
    let pieces = TransferPlan.pieces(runs, blockBytes: 320, pieceBytes: limit)
    #expect(pieces.allSatisfy { $0.byteCount <= limit && $0.sourceOffset % 64 == 0 })
    var moved: [Int: Int] = [:]
    for piece in pieces {
      for (from, to) in zip(piece.sourceBytes, piece.destinationBytes) { moved[from] = to }
    }
    #expect(moved.count == 5 * 320)
    for (from, to) in zip([3, 4, 5, 9, 2], [7, 8, 9, 1, 2]) {
      for byte in 0..<320 { #expect(moved[from * 320 + byte] == to * 320 + byte) }
    }
  }

  @Test func theBaselineMovesTheSameBytesInManyCalls() {
    let source: [BlockID] = [3, 4, 9]
    let destination: [BlockID] = [0, 1, 2]
    let pieces = TransferPlan.layerPieces(source: source, destination: destination, shape: smallShape)
    #expect(pieces.count == 2 * smallShape.layers * 3)
    var moved: [Int: Int] = [:]
    for piece in pieces {
      for (from, to) in zip(piece.sourceBytes, piece.destinationBytes) { moved[from] = to }
    }
    var expected: [Int: Int] = [:]
    for piece in TransferPlan.pieces(
      TransferPlan.plan(source: source, destination: destination), blockBytes: smallShape.blockBytes)
    {
      for (from, to) in zip(piece.sourceBytes, piece.destinationBytes) { expected[from] = to }
    }
    #expect(moved == expected)
  }
}

@Suite struct HintedAllocationTests {
  /// A fragmented allocator: every block free with the given chance in 16.
  private func fragmented(limit: Int, chance: UInt64, random: inout SeededGenerator) -> SegmentAllocator {
    var allocator = SegmentAllocator(blockLimit: limit)
    guard case .allocated(let all) = allocator.allocate(count: limit) else { return allocator }
    var isFree = false
    for block in all {
      // Runs instead of single blocks: the state changes now and then.
      if random.next() % 4 == 0 { isFree = random.next() % 16 < chance }
      if isFree { allocator.release(block) }
    }
    return allocator
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>) func givesWhatWasAskedAndFewCalls(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<60 {
      let limit = 40 + Int(random.next() % 400)
      var allocator = fragmented(limit: limit, chance: 4 + random.next() % 12, random: &random)
      let before = allocator
      var hint: [Int] = (0..<Int(1 + random.next() % 6)).map { _ in Int(random.next() % 20) }
      let count = Int(random.next() % 60)
      let growth = Int(random.next() % 5)
      let largest = allocator.largestSegment
      switch allocator.allocate(count: count, runLengths: hint, growth: growth) {
      case .noRoom(let missing):
        #expect(missing == count - before.freeBlocks && missing > 0, "seed \(seed)")
        #expect(allocator.freeBlocks == before.freeBlocks, "seed \(seed)")
      case .allocated(let blocks):
        #expect(blocks.count == count && Set(blocks).count == count, "seed \(seed)")
        #expect(blocks.allSatisfy { before.isFree($0) && !allocator.isFree($0) }, "seed \(seed)")
        #expect(allocator.checkInvariants().isEmpty, "seed \(seed)")
        // Cut the hint to the count as the contract says, then compare calls.
        var open = count
        hint = hint.filter { $0 > 0 }.compactMap { length in
          defer { open -= min(length, open) }
          return open > 0 ? min(length, open) : nil
        }
        if open > 0 { hint.append(open) }
        let sender = ids(hint)
        let calls = TransferPlan.plan(source: sender, destination: blocks).count
        if count <= largest { #expect(calls == hint.count, "seed \(seed): \(hint) got \(calls) calls") }
        #expect(calls >= hint.count, "seed \(seed)")
      }
    }
  }

  /// Blocks of a sender that lie in runs of these lengths.
  private func ids(_ lengths: [Int]) -> [BlockID] {
    var next = 0
    return lengths.flatMap { length in
      next += 2
      defer { next += length }
      return (next..<(next + length)).map { BlockID($0) }
    }
  }

  @Test func longRunsChooseFirst() {
    // Free: 0..<3, 5..<10. The run of 5 must get the five blocks although the run of 2 comes first.
    var allocator = SegmentAllocator(blockLimit: 10)
    _ = allocator.allocate(count: 10)
    allocator.release([0, 1, 2, 5, 6, 7, 8, 9] as [BlockID])
    #expect(allocator.allocate(count: 7, runLengths: [2, 5]) == .allocated([0, 1, 5, 6, 7, 8, 9]))
  }

  @Test func theHintLeavesLongRunsToOthers() {
    // Free: 0..<4, 6..<20. A fragmented sender gains nothing from the long run.
    var allocator = SegmentAllocator(blockLimit: 20)
    _ = allocator.allocate(count: 20)
    allocator.release((0..<4).map { BlockID($0) } + (6..<20).map { BlockID($0) })
    #expect(allocator.allocate(count: 4, runLengths: [1, 1, 1, 1]) == .allocated([0, 1, 2, 3]))
    #expect(allocator.largestSegment == 14)
  }

  @Test func thePoolPassesTheHintOn() throws {
    let pool = try makePool(blocks: 16)
    var first = try #require(pool.open(pool.match(tokens(0..<4), salt: "a")))
    #expect(pool.reserve(&first, slots: 8 * 4))
    var second = try #require(pool.open(pool.match(tokens(0..<4), salt: "b")))
    #expect(pool.reserve(&second, slots: 4 * 4, runLengths: [2, 2]))
    #expect(second.blocks.count == 4)
    #expect(TransferPlan.plan(source: [0, 1, 5, 6], destination: second.blocks).count == 2)
    pool.close(first, tokens: [], filledSlots: 0, salt: "a", keep: false)
    pool.close(second, tokens: [], filledSlots: 0, salt: "b", keep: false)
    #expect(pool.freeBlocks == 16 && pool.checkInvariants(openTables: []).isEmpty)
  }
}

@Suite struct TransferCostTests {
  @Test(arguments: 1...5 as ClosedRange<UInt64>) func findsTheConstants(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var model = TransferCostModel(priors: .sharedMemory)
    let (operation, byte) = (15e-6, 3e-10)
    for _ in 0..<300 {
      let operations = 1 + Int(random.next() % 2000)
      let bytes = 1 << (14 + Int(random.next() % 14))
      let noise = 1 + 0.1 * random.normalDouble()
      model.observe(
        operations: operations, bytes: bytes,
        seconds: (operation * Double(operations) + byte * Double(bytes)) * max(noise, 0.5))
    }
    #expect(abs(model.operationSeconds / operation - 1) < 0.1, "seed \(seed): \(model.operationSeconds)")
    #expect(abs(model.byteSeconds / byte - 1) < 0.2, "seed \(seed): \(model.byteSeconds)")
  }

  @Test func forgetsALinkThatChanged() {
    var model = TransferCostModel(priors: .stream)
    for byte in [1e-10, 1e-9] {
      for index in 0..<400 {
        let (operations, bytes) = (1 + index * 7 % 64, 100_000 + index * 7919 % 5_000_000)
        model.observe(operations: operations, bytes: bytes, seconds: 20e-6 * Double(operations) + byte * Double(bytes))
      }
      #expect(abs(model.byteSeconds / byte - 1) < 0.02)
    }
  }

  @Test func oneShapeOfTransferLeavesNothingNegativeOrAbsurd() {
    var model = TransferCostModel(priors: .stream)
    for _ in 0..<1000 { model.observe(operations: 1, bytes: 1 << 20, seconds: 1e-3) }
    #expect(model.operationSeconds >= 0 && model.byteSeconds > 0)
    #expect(abs(model.seconds(operations: 1, bytes: 1 << 20) / 1e-3 - 1) < 0.01)
    model.observe(operations: 1, bytes: 0, seconds: 1)
    model.observe(operations: 1, bytes: 1, seconds: .nan)
    #expect(model.observations == 1000)
  }

  @Test func staysNonNegativeWhateverItSees() {
    var random = SeededGenerator(seed: 77)
    var model = TransferCostModel(priors: .sharedMemory)
    for _ in 0..<2000 {
      model.observe(
        operations: 1 + Int(random.next() % 10000), bytes: 1 + Int(random.next() % 100_000_000),
        seconds: random.unitDouble() * 10)
      #expect(model.operationSeconds >= 0 && model.byteSeconds > 0 && model.byteSeconds.isFinite)
    }
  }

  @Test func gathersOnlyAboveTheBreakEven() {
    let model = TransferCostModel(
      priors: .init(operationSeconds: 20e-6, byteSeconds: 5e-10, copyByteSeconds: 2e-10))
    // 2 copies of 1 MiB cost 419 us = 21 calls.
    #expect(model.mode(operations: 21, bytes: 1 << 20) == .direct)
    #expect(model.mode(operations: 23, bytes: 1 << 20) == .staged)
    #expect(model.mode(operations: 1, bytes: 1) == .direct)
    let span = model.spanBytes(overheadShare: 0.05)
    #expect(abs(model.operationSeconds / model.seconds(operations: 1, bytes: span) - 0.05) < 0.001)
  }
}

@Suite struct TransferStreamTests {
  @Test(arguments: 1...10 as ClosedRange<UInt64>) func sendsEveryBlockOnceFullAndInLargeSpans(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<100 {
      func ids(_ count: Int) -> [BlockID] {
        var next = 0
        return (0..<count).map { _ in
          next += random.next() % 6 == 0 ? 3 : 1
          return BlockID(next)
        }
      }
      let count = 1 + Int(random.next() % 50)
      let slots = 1 + Int(random.next() % 8)
      let span = 1 + Int(random.next() % 9)
      let (source, destination) = (ids(count), ids(count))
      let total = (count - 1) * slots + 1 + Int(random.next() % UInt64(slots))
      var stream = TransferStream(source: source, destination: destination, blockSlots: slots, spanBlocks: span)
      var runs: [CoRun] = []
      var filled = 0
      while filled < total {
        filled = min(total, filled + 1 + Int(random.next() % 30))
        let now = stream.advance(filledSlots: filled)
        runs += now
        #expect(stream.sentBlocks * slots <= filled, "seed \(seed): a block was sent before it was full")
        let waiting = filled / slots - stream.sentBlocks
        #expect(waiting < span, "seed \(seed): \(waiting) full blocks wait for a span of \(span)")
      }
      runs += stream.finish(filledSlots: total)
      let sent = runs.flatMap { run in (0..<run.count).map { BlockID(run.source.index + $0) } }
      let arrived = runs.flatMap { run in (0..<run.count).map { BlockID(run.destination.index + $0) } }
      #expect(sent == source && arrived == destination, "seed \(seed)")
      let maximal = TransferPlan.plan(source: source, destination: destination).count
      #expect(runs.count <= maximal + count / span, "seed \(seed): \(runs.count) calls, \(maximal) co-runs")
    }
  }
}
