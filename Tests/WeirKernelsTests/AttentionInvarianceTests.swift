import Testing
import WeirBasics
import WeirKernels

/// A row's bits depend on its query and its visible keys alone: not on groups, chunks, other rows, threads or schedule.
struct AttentionInvarianceTests {
  static let seeds: [UInt64] = Array(1...12)

  @Test(arguments: InstructionSet.available, seeds)
  func groupingChunkingAndThreadsChangeNoBit(set: InstructionSet, seed: UInt64) {
    var world = World(seed: seed, set: set, threads: 1)
    let alone = world.resultsOneByOne()
    #expect(alone.allSatisfy { row in row.allSatisfy { $0.isFinite } })
    for threads in [1, 2, 3] {
      world.context = KernelContext(instructionSet: set, pool: WorkerPool(threads: threads))
      for _ in 0..<6 {
        let (rows, results) = world.randomCall()
        for (row, result) in zip(rows, results) {
          #expect(bits(result) == bits(alone[row]), "seed \(seed), row \(row), \(threads) threads")
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func rowsWithoutVisibleKeysAreZero(set: InstructionSet) {
    let world = World(seed: 3, set: set, threads: 2)
    let n = 3
    let output = FloatBuffer(rows: n, columns: world.width)
    for i in 0..<n { output.rows.row(i)[0] = .nan }
    let late = KVRun(blocks: world.blocks.starts, count: 20, firstPosition: 0, positions: Array(100..<120))
    let none = KVRun(blocks: [], count: 0, firstPosition: 0)
    var call = world.call(query: world.query.view(rows: n), positions: [5, 5, 5], output: output.rows)
    call.groups = [AttentionGroup(rows: [0], run: late), AttentionGroup(rows: [1], run: none)]  // row 2: no group
    world.context.attend(call)
    #expect(output.values.allSatisfy { $0 == 0 })
    let partial = world.context.attendPartial(call)
    #expect(partial.partial(row: 2, head: 0).maximum == -1e30 && partial.partial(row: 2, head: 0).weight == 0)
    world.context.normalise(partial, into: output.rows)
    #expect(output.values.allSatisfy { $0 == 0 })
  }

  @Test(arguments: InstructionSet.available)
  func partialsOverTwoHalvesMergeToTheWhole(set: InstructionSet) {
    let world = World(seed: 5, set: set, threads: 2)
    let position = Int32(world.tokens - 1)
    let half = world.tokens / 2 / world.shape.blockSlots * world.shape.blockSlots
    let whole = FloatBuffer(rows: 1, columns: world.width), merged = FloatBuffer(rows: 1, columns: world.width)
    var call = world.call(query: world.query.view(rows: 1), positions: [position], output: whole.rows)
    call.window = 0
    call.groups = [AttentionGroup(rows: [0], run: world.run(0..<world.tokens))]
    world.context.attend(call)
    call.groups = [AttentionGroup(rows: [0], run: world.run(0..<half))]
    let first = world.context.attendPartial(call)
    call.groups = [AttentionGroup(rows: [0], run: world.run(half..<world.tokens))]
    let second = world.context.attendPartial(call)
    let copy = PartialRows(count: 1, heads: world.heads, headDim: world.shape.headDim)
    for head in 0..<world.heads { copy.set(first.partial(row: 0, head: head), row: 0, head: head) }
    world.context.merge(into: copy, from: second)
    world.context.normalise(copy, into: merged.rows)
    // Merging in another place rounds weights and values a few times more: 32 roundings of values below 1.
    for (a, b) in zip(whole.values, merged.values) { #expect(abs(a - b) <= 32 * 0x1p-24) }
  }

  @Test(arguments: InstructionSet.available)
  func retainedPositionsMaskLikeTheirKeysInPlace(set: InstructionSet) {
    // A run whose keys carry explicit positions equal to their coordinates is the plain run.
    let world = World(seed: 8, set: set, threads: 2)
    let n = 4
    let positions = (0..<n).map { Int32(world.tokens - 1 - $0 * 7) }
    let plain = FloatBuffer(rows: n, columns: world.width), listed = FloatBuffer(rows: n, columns: world.width)
    var call = world.call(query: world.query.view(rows: n), positions: positions, output: plain.rows)
    call.groups = [AttentionGroup(rows: Array(0..<Int32(n)), run: world.run(0..<world.tokens))]
    world.context.attend(call)
    call.groups[0].run.positions = Array(0..<Int32(world.tokens))
    call.output = listed.rows
    world.context.attend(call)
    #expect(bits(plain.values) == bits(listed.values))
  }

  private func bits(_ values: [Float]) -> [UInt32] { values.map { ($0 + 0).bitPattern } }
}

/// Random sequence, shape and options; every token has a query, a key and a value.
private struct World {
  var context: KernelContext
  var generator: SeededGenerator
  let shape: KVShape
  let heads: Int
  let tokens: Int
  let window: Int
  let softcap: Float
  let query: FloatBuffer
  let blocks: TestBlocks

  init(seed: UInt64, set: InstructionSet, threads: Int) {
    context = KernelContext(instructionSet: set, pool: WorkerPool(threads: threads))
    generator = SeededGenerator(seed: seed)
    let kvHeads = [1, 2, 3][Int(generator.next() % 3)]
    heads = kvHeads * [1, 2, 3, 8][Int(generator.next() % 4)]
    let types = KVElementType.allCases
    let size = [32, 64][Int(generator.next() % 2)]
    shape = KVShape(
      layers: 1, kvHeads: kvHeads, headDim: size, blockSlots: [4, 16, 32, 48][Int(generator.next() % 4)],
      keyType: types[Int(generator.next() % UInt64(types.count))],
      valueType: types[Int(generator.next() % UInt64(types.count))])
    tokens = 300 + Int(generator.next() % 500)
    window = seed % 3 == 0 ? 1 + Int(generator.next() % 200) : 0
    softcap = seed % 4 == 0 ? 6 : 0
    var values = GoldenGenerator(seed: seed)
    query = FloatBuffer(tokens, heads * size, values.floats(tokens * heads * size).map { $0 * 4 })
    let k = values.buffer(tokens, kvHeads * size), v = values.buffer(tokens, kvHeads * size)
    blocks = TestBlocks(shape, count: shape.blockCount(tokens: tokens))
    blocks.fill(context, k: k.rows, v: v.rows, layer: 0, at: 0..<tokens)
  }

  var width: Int { heads * shape.headDim }

  /// Keys of `range`, which starts at a block boundary.
  func run(_ range: Range<Int>) -> KVRun {
    let first = range.lowerBound / shape.blockSlots
    let end = shape.blockCount(tokens: range.upperBound)
    return KVRun(blocks: Array(blocks.starts[first..<end]), count: range.count, firstPosition: range.lowerBound)
  }

  func call(query: Rows, positions: [Int32], output: Rows) -> AttentionCall {
    AttentionCall(
      query: query, rowPositions: positions, groups: [], layer: 0, shape: shape, heads: heads, scale: 0.125,
      softcap: softcap, window: window, output: output)
  }

  func resultsOneByOne() -> [[Float]] {
    let output = FloatBuffer(rows: 1, columns: width)
    return (0..<tokens).map { row in
      var call = call(query: query.rows.slice(row..<row + 1), positions: [Int32(row)], output: output.rows)
      call.groups = [AttentionGroup(rows: [0], run: run(0..<row + 1))]
      context.attend(call)
      return output.values
    }
  }

  /// Some rows in random order and groups: a shared prefix (cut at a block boundary), then an own rest or a rest shared
  /// with others, sometimes with keys that are not visible yet.
  mutating func randomCall() -> (rows: [Int], results: [[Float]]) {
    let rows = Array((0..<tokens).shuffled(using: &generator).prefix([1, 2, 9, 40, 150][Int(generator.next() % 5)]))
    let first = rows.min() ?? 0
    let cut = Int(generator.next() % UInt64(first / shape.blockSlots + 1)) * shape.blockSlots
    var groups: [AttentionGroup] = []
    let all = rows.indices.map { Int32($0) }
    if cut > 0 { groups.append(AttentionGroup(rows: all, run: run(0..<cut))) }
    if generator.next() % 2 == 0 {
      groups.append(AttentionGroup(rows: all, run: run(cut..<tokens)))
    } else {
      for i in all {
        let end = Int(generator.next() % 2) == 0 ? rows[Int(i)] + 1 : tokens
        groups.append(AttentionGroup(rows: [i], run: run(cut..<end)))
      }
    }
    let queries = FloatBuffer(rows.count, width, rows.flatMap { query.rows.values($0) })
    let output = FloatBuffer(rows: rows.count, columns: width)
    var call = call(query: queries.rows, positions: rows.map { Int32($0) }, output: output.rows)
    call.groups = groups
    context.attend(call)
    return (rows, rows.indices.map { output.rows.values($0) })
  }
}
