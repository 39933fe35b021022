// Retained lanes: every KV head with its own keys, and the attention mass that keys get.

import Foundation
import Testing
import WeirBasics
import WeirKernels

@Suite struct LaneAttentionTests {
  /// Whole lanes are the plain run, bit for bit, however the rows are cut into calls.
  @Test(arguments: InstructionSet.available, [UInt64](0..<6))
  func wholeLanesAreThePlainRun(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    let rows = 5
    let older = world.tokens - rows
    let plain = FloatBuffer(rows: rows, columns: world.width)
    var call = world.call(rows: rows, firstPosition: older, output: plain.rows)
    call.groups = [
      AttentionGroup(
        rows: Array(0..<Int32(rows)),
        run: KVRun(blocks: world.blocks.starts, count: world.tokens, firstPosition: 0))
    ]
    world.context.attend(call)
    for positions in [[], Array(repeating: Array(0..<Int32(older)), count: world.shape.kvHeads)] {
      let lanes = FloatBuffer(rows: rows, columns: world.width)
      call.output = lanes.rows
      call.groups[0].run.lanes = KVLanes(
        older: Array(repeating: Int32(older), count: world.shape.kvHeads), positions: positions, rows: rows,
        firstPosition: older)
      world.context.attend(call)
      #expect(plain.values.map(\.bitPattern) == lanes.values.map(\.bitPattern), "seed \(seed)")
    }
  }

  /// Heads with different keys at different positions: each is what a run of its own keys with listed positions gives.
  @Test(arguments: InstructionSet.available, [UInt64](0..<6))
  func raggedLanesAreTheirOwnRuns(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    let rows = 3
    let first = 2000
    let older = (0..<world.shape.kvHeads).map { world.tokens - rows - 37 * $0 }
    let positions = older.map { count in (0..<count).map { Int32($0 * 3 + count % 5) } }
    let output = FloatBuffer(rows: rows, columns: world.width)
    var call = world.call(rows: rows, firstPosition: first, output: output.rows)
    call.groups = [
      AttentionGroup(
        rows: Array(0..<Int32(rows)),
        run: KVRun(
          blocks: world.blocks.starts, count: world.tokens, firstPosition: 0,
          lanes: KVLanes(
            older: older.map(Int32.init), positions: positions, rows: rows, firstPosition: first)))
    ]
    world.context.attend(call)
    let alone = FloatBuffer(rows: rows, columns: world.width)
    for head in 0..<world.shape.kvHeads {
      call.output = alone.rows
      call.groups[0].run = KVRun(
        blocks: world.blocks.starts, count: older[head] + rows, firstPosition: 0,
        positions: positions[head] + (first..<first + rows).map(Int32.init))
      world.context.attend(call)
      let columns = world.columns(of: head)
      for row in 0..<rows {
        #expect(
          output.rows.values(row)[columns].map(\.bitPattern) == alone.rows.values(row)[columns].map(\.bitPattern),
          "seed \(seed), KV head \(head), row \(row)")
      }
    }
  }

  /// Reading all keys by choice is the plain run, and reading some is the plain run of a sequence that has only those:
  /// bit for bit.
  @Test(arguments: InstructionSet.available, [UInt64](0..<8))
  func chosenKeysAreReadWhereTheyLie(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    var generator = SeededGenerator(seed: seed)
    let whole = Array(0..<Int32(world.tokens))
    var choices = [Array(repeating: whole, count: world.shape.kvHeads)]
    choices.append(
      (0..<world.shape.kvHeads).map { head in
        whole.filter { Int($0) == world.tokens - 1 || (generator.next() >> 20) % UInt64(3 + 40 * head) == 0 }
      })
    for choice in choices {
      let output = FloatBuffer(rows: 1, columns: world.width), alone = FloatBuffer(rows: 1, columns: world.width)
      var call = world.call(rows: 1, firstPosition: world.tokens - 1, output: output.rows)
      call.groups = [
        AttentionGroup(rows: [0], run: KVRun(blocks: world.blocks.starts, count: world.tokens, firstPosition: 0))
      ]
      call.groups[0].run.choice = KVChoice(slots: choice, positions: choice)
      world.context.attend(call)
      for (head, slots) in choice.enumerated() {
        let packed = world.packed(slots)
        call.output = alone.rows
        call.groups[0].run = KVRun(
          blocks: packed.starts, count: slots.count, firstPosition: 0, positions: world.window > 0 ? slots : nil)
        world.context.attend(call)
        let columns = world.columns(of: head)
        #expect(
          output.rows.values(0)[columns].map(\.bitPattern) == alone.rows.values(0)[columns].map(\.bitPattern),
          "seed \(seed), KV head \(head), \(slots.count) keys")
      }
    }
  }

  /// Abstracts are means of keys, products are with all their elements.
  @Test(arguments: InstructionSet.available, [UInt64](0..<6))
  func abstractsAreMeansAndAreComparedWhole(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    let (size, head) = (world.shape.headDim, world.shape.kvHeads - 1)
    let keys = world.context.keys(
      in: world.blocks.starts, layer: 0, kvHead: head, count: world.tokens, shape: world.shape)
    let starts = Array(stride(from: 0, to: world.tokens, by: 7))
    let group = KernelContext.abstractGroup
    let room = (starts.count + group - 1) / group * group * size
    let abstracts = FloatBuffer(1, room, [Float](repeating: .nan, count: room))
    for (part, start) in starts.enumerated() {
      // One part without keys.
      let end = part == 3 ? start : min(world.tokens, start + 7)
      world.context.abstract(
        .mean, of: start..<end, in: world.blocks.starts.map { $0.assumingMemoryBound(to: UInt8.self) }, layer: 0,
        kvHead: head,
        shape: world.shape, part: part, into: abstracts.rows.base)
    }
    let query = world.query.rows.row(0)
    let products = world.context.products(query, length: size, abstracts: abstracts.rows.base, parts: starts.count)
    #expect(products.count == starts.count)
    for (part, start) in starts.enumerated() {
      let end = part == 3 ? start : min(world.tokens, start + 7)
      var expected = 0.0, scale = 0.0
      for slot in start..<end {
        for d in 0..<size {
          expected += Double(query[d]) * Double(keys[slot * size + d]) / Double(end - start)
          scale += abs(Double(query[d]) * Double(keys[slot * size + d])) / Double(end - start)
        }
      }
      // 7 roundings of a sum, one of its quotient, `size` of the product.
      let bound = Double(size + 8) * 0x1p-24 * scale
      #expect(abs(Double(products[part]) - expected) <= bound, "seed \(seed), part \(part)")
    }
  }

  /// The product with the bounds of some keys is at least that with each of them, and is reached by one key alone.
  @Test(arguments: InstructionSet.available, [UInt64](0..<6))
  func boundsAreNeverExceeded(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    let size = world.shape.headDim
    let blocks = world.blocks.starts.map { Optional($0.assumingMemoryBound(to: UInt8.self)) }
    let keys = world.context.keys(in: world.blocks.starts, layer: 0, kvHead: 0, count: world.tokens, shape: world.shape)
    let parts = [0..<1, 5..<12, 12..<12, 12..<world.tokens]
    let abstracts = FloatBuffer(rows: 1, columns: KernelContext.abstractGroup * 2 * size)
    for (part, slots) in parts.enumerated() {
      world.context.abstract(
        .bounds, of: slots, in: blocks, layer: 0, kvHead: 0, shape: world.shape, part: part,
        into: abstracts.rows.base)
    }
    let query = Array(UnsafeBufferPointer(start: world.query.rows.row(0), count: size))
    let products = world.context.products(
      KeyAbstract.bounds.queryForm(query), length: 2 * size, abstracts: abstracts.rows.base, parts: parts.count)
    for (part, slots) in parts.enumerated() {
      var (largest, scale) = (-Double.infinity, 0.0)
      for slot in slots {
        let terms = (0..<size).map { Double(query[$0]) * Double(keys[slot * size + $0]) }
        largest = max(largest, terms.reduce(0, +))
        scale = max(scale, terms.reduce(0) { $0 + abs($1) })
      }
      let bound = Double(size) * 0x1p-23 * scale
      #expect(slots.isEmpty ? products[part] == 0 : Double(products[part]) >= largest - bound, "seed \(seed), \(slots)")
      if slots.count == 1 { #expect(abs(Double(products[part]) - largest) <= bound, "seed \(seed)") }
    }
  }

  /// Nearness of a key is the largest score, or share of attention, among the queries.
  @Test(arguments: InstructionSet.available, [UInt64](0..<8))
  func nearnessIsTheNearestQuerys(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    let (size, head, count) = (world.shape.headDim, world.shape.kvHeads - 1, world.heads / world.shape.kvHeads)
    let slots = world.tokens - Int(seed) * 5
    let scale = Float(0.11)
    let keys = world.context.keys(
      in: world.blocks.starts, layer: 0, kvHead: head, count: slots, shape: world.shape
    ).map(Double.init)
    let queries = Array(UnsafeBufferPointer(start: world.query.rows.row(0), count: count * size))
    let blocks = world.blocks.starts.map { Optional($0.assumingMemoryBound(to: UInt8.self)) }
    let scores = (0..<count).map { query in
      (0..<slots).map { slot in
        let score = (0..<size).reduce(0.0) { sum, d in
          sum + Double(queries[query * size + d]) * Double(scale) * keys[slot * size + d]
        }
        return world.softcap > 0 ? Double(world.softcap) * tanh(score / Double(world.softcap)) : score
      }
    }
    for asShares in [false, true] {
      let found = world.context.nearness(
        ofKeys: slots, in: blocks, layer: 0, kvHead: head, shape: world.shape, to: queries, scale: scale,
        softcap: world.softcap, asShares: asShares, thread: 0)
      #expect(found.count == slots)
      let each = scores.map { row in
        let whole = row.reduce(0) { $0 + exp($1) }
        return asShares ? row.map { exp($0) / whole } : row
      }
      for slot in 0..<slots {
        let expected = each.map { $0[slot] }.max() ?? 0
        // Scores of size 10 and their exponentials carry about 2^-24 * 10 * sqrt(64).
        let bound = asShares ? 1e-4 * expected + 1e-9 : 1e-4 * max(1, abs(expected))
        #expect(abs(Double(found[slot]) - expected) <= bound, "seed \(seed), slot \(slot), shares \(asShares)")
      }
    }
    #expect(
      world.context.nearness(
        ofKeys: 0, in: blocks, layer: 0, kvHead: head, shape: world.shape, to: queries, scale: scale, softcap: 0,
        asShares: true, thread: 0) == [])
  }

  /// Mass is the exact softmax of each row, summed with decay or as a maximum; cutting rows changes no bit.
  @Test(arguments: InstructionSet.available, [UInt64](0..<6))
  func massIsTheSoftmaxOfEveryRow(set: InstructionSet, seed: UInt64) {
    let world = LaneWorld(seed: seed, set: set)
    let rows = 21
    let older = (0..<world.shape.kvHeads).map { 150 - 31 * $0 }
    let tallies = [MassTally(), MassTally(firstRow: 17, isMaximum: true), MassTally(decay: 0.75)]
    let whole = world.masses(older: older, rows: rows, cuts: [rows], tallies: tallies)
    #expect(whole == world.masses(older: older, rows: rows, cuts: [1, 2, 15, rows], tallies: tallies), "seed \(seed)")
    let expected = world.expectedMasses(older: older, rows: rows, tallies: tallies)
    // Scores of size 40 carry about 2^-24 * 40 * sqrt(64); probabilities move by as much, over at most 21 rows.
    for (index, (a, b)) in zip(whole, expected).enumerated() {
      #expect(abs(Double(a) - b) < 5e-4, "seed \(seed), number \(index): \(a), expected \(b)")
    }
  }
}

/// Random keys and values in every slot of some blocks, and queries.
private struct LaneWorld {
  let context: KernelContext
  let shape: KVShape
  let heads: Int
  let tokens: Int
  let window: Int
  let softcap: Float
  let query: FloatBuffer
  let blocks: TestBlocks
  private let k, v: FloatBuffer

  init(seed: UInt64, set: InstructionSet) {
    context = KernelContext(instructionSet: set, pool: WorkerPool(threads: 2))
    var generator = SeededGenerator(seed: seed &+ 900)
    let kvHeads = [1, 2, 3][Int(seed % 3)]
    heads = kvHeads * [1, 2, 3][Int(generator.next() % 3)]
    let types = KVElementType.allCases
    shape = KVShape(
      layers: 1, kvHeads: kvHeads, headDim: [32, 64][Int(generator.next() % 2)],
      blockSlots: [8, 16, 32, 48][Int(generator.next() % 4)], keyType: types[Int(seed % UInt64(types.count))],
      valueType: types[Int(generator.next() % UInt64(types.count))])
    tokens = 300 + Int(generator.next() % 300)
    window = seed % 2 == 0 ? 0 : 40 + Int(generator.next() % 1200)
    softcap = seed % 4 == 1 ? 6 : 0
    var values = GoldenGenerator(seed: seed)
    let size = shape.headDim
    query = FloatBuffer(32, heads * size, values.floats(32 * heads * size).map { $0 * 3 })
    k = values.buffer(tokens, kvHeads * size)
    v = values.buffer(tokens, kvHeads * size)
    blocks = TestBlocks(shape, count: shape.blockCount(tokens: tokens))
    blocks.fill(context, k: k.rows, v: v.rows, layer: 0, at: 0..<tokens)
  }

  /// The keys and values of some slots, one after the other in blocks of their own.
  func packed(_ slots: [Int32]) -> TestBlocks {
    let blocks = TestBlocks(shape, count: shape.blockCount(tokens: slots.count))
    for (place, slot) in slots.enumerated() {
      let row = Int(slot)..<Int(slot) + 1
      blocks.fill(context, k: k.rows.slice(row), v: v.rows.slice(row), layer: 0, at: place..<place + 1)
    }
    return blocks
  }

  var width: Int { heads * shape.headDim }

  /// Output columns of the query heads that share a KV head.
  func columns(of head: Int) -> Range<Int> {
    let group = heads / shape.kvHeads * shape.headDim
    return head * group..<(head + 1) * group
  }

  func call(rows: Int, firstPosition: Int, output: Rows) -> AttentionCall {
    AttentionCall(
      query: query.view(rows: rows), rowPositions: (0..<rows).map { Int32(firstPosition + $0) }, groups: [], layer: 0,
      shape: shape, heads: heads, scale: 0.125, softcap: softcap, window: window, output: output)
  }

  private let stride = 640
  private var firstPosition: Int { 1500 }
  private func positions(_ older: [Int]) -> [[Int32]] { older.map { count in (0..<count).map { Int32($0 * 9) } } }

  /// All tallies of all heads, the rows given in calls that end at `cuts`.
  func masses(older: [Int], rows: Int, cuts: [Int], tallies: [MassTally]) -> [Float] {
    var out = Array(repeating: Float(0), count: shape.kvHeads * tallies.count * stride)
    var done = 0
    for cut in cuts where cut > done {
      let before = older.map { $0 + done }
      let listed = positions(older).map { $0 + (0..<done).map { Int32(firstPosition + $0) } }
      let call = MassCall(
        query: query.rows.slice(done..<cut),
        run: KVRun(
          blocks: blocks.starts, count: tokens, firstPosition: 0,
          lanes: KVLanes(
            older: before.map(Int32.init), positions: listed, rows: cut - done, firstPosition: firstPosition + done)),
        layer: 0, shape: shape, heads: heads, scale: 0.125, softcap: softcap, window: window,
        tallies: tallies.map {
          MassTally(firstRow: max(0, $0.firstRow - done), decay: $0.decay, isMaximum: $0.isMaximum)
        })
      out.withUnsafeMutableBufferPointer {
        guard let start = $0.baseAddress else { return }
        context.addMass(call, into: start, laneStride: tallies.count * stride, tallyStride: stride)
      }
      done = cut
    }
    return out
  }

  /// The same in double precision, straight from the definition.
  func expectedMasses(older: [Int], rows: Int, tallies: [MassTally]) -> [Double] {
    var out = Array(repeating: 0.0, count: shape.kvHeads * tallies.count * stride)
    let (size, group) = (shape.headDim, heads / shape.kvHeads)
    for head in 0..<shape.kvHeads {
      let keys = context.keys(in: blocks.starts, layer: 0, kvHead: head, count: older[head] + rows, shape: shape)
      let places = positions(older)[head] + (0..<rows).map { Int32(firstPosition + $0) }
      for row in 0..<rows {
        let seen = (0...older[head] + row).filter { window == 0 || Int(places[$0]) > firstPosition + row - window }
        var share = Array(repeating: 0.0, count: seen.count)
        for h in 0..<group {
          let q = query.rows.values(row)[((head * group + h) * size)..<((head * group + h + 1) * size)]
          let scores = seen.map { key -> Double in
            let dot = zip(q, keys[key * size..<(key + 1) * size]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            return softcap > 0 ? Double(softcap) * tanh(dot * 0.125 / Double(softcap)) : dot * 0.125
          }
          let largest = scores.max() ?? 0
          let total = scores.reduce(0) { $0 + exp($1 - largest) }
          for index in seen.indices { share[index] += exp(scores[index] - largest) / total / Double(group) }
        }
        for (t, tally) in tallies.enumerated() where row >= tally.firstRow {
          let start = (head * tallies.count + t) * stride
          if !tally.isMaximum { for key in 0..<older[head] + row { out[start + key] *= Double(tally.decay) } }
          for (key, value) in zip(seen, share) {
            out[start + key] = tally.isMaximum ? max(out[start + key], value) : out[start + key] + value
          }
        }
      }
    }
    return out
  }
}
