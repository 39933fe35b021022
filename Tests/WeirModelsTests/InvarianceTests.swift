// A row's result depends on its own sequence alone, bit for bit.

import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

struct InvarianceTests {
  static let context = KernelContext(pool: WorkerPool(threads: 2))
  static let families = ["llama", "mistral", "phi3", "gemma2", "gemma3", "qwen3-moe", "qwen2-moe"]

  func model(_ name: String) throws -> DecoderModel {
    try DecoderModel(source: try GoldenModel.named(name).openFolder(), context: Self.context)
  }

  /// Tokens that differ from seed to seed.
  func tokens(_ count: Int, seed: UInt64) -> [TokenID] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in TokenID(UInt32(generator.next() % 96)) }
  }

  @Test(arguments: families) func chunkSizeDoesNotMatter(name: String) throws {
    let model = try model(name)
    let prompt = tokens(61, seed: 1)
    let whole = TinyRun(model).append(prompt)
    for chunk in [1, 7, 16, 40] {
      #expect(TinyRun(model).append(prompt, chunk: chunk) == whole, "chunks of \(chunk)")
    }
  }

  @Test(arguments: families) func theRestOfTheBatchDoesNotMatter(name: String) throws {
    let model = try model(name)
    let prompts = [tokens(5, seed: 2), tokens(23, seed: 3), tokens(1, seed: 4), tokens(18, seed: 5)]
    let alone = prompts.map { TinyRun(model, blockSlots: 8).append($0) }
    let shape = model.kvShape(blockSlots: 8, keyType: .f32, valueType: .f32)
    let workspace = ForwardWorkspace(model: model, maxRows: 64)
    let spaces = prompts.map { _ in HeapBlocks(shape, count: 4) }
    var batch = ForwardBatch()
    for (prompt, space) in zip(prompts, spaces) {
      let first = batch.tokens.count
      batch.tokens += prompt
      batch.positions += prompt.indices.map(Int32.init)
      batch.sequences.append(
        BatchSequence(blocks: space.addresses, rows: first..<(first + prompt.count), firstPosition: 0))
    }
    batch.outputRows = Array(batch.tokens.indices)
    let together = model.forward(batch, shape: shape, workspace: workspace).copied()
    #expect(together == alone.flatMap { $0 })
  }

  /// Rows without logits are left out of the last layer; that must not show.
  @Test(arguments: families) func askingForFewerLogitsDoesNotMatter(name: String) throws {
    let model = try model(name)
    let prompt = tokens(37, seed: 10)
    let all = TinyRun(model).append(prompt)
    for rows in [[36], [0, 5, 17, 36], [36, 5]] {
      let run = TinyRun(model)
      // A first chunk that wants no logits at all.
      _ = run.append(Array(prompt[0..<20]), outputs: [])
      let late = run.append(Array(prompt[20...]), outputs: rows.filter { $0 >= 20 }.map { $0 - 20 })
      #expect(late == rows.filter { $0 >= 20 }.map { all[$0] })
      #expect(TinyRun(model).append(prompt, outputs: rows) == rows.map { all[$0] })
    }
  }

  /// Sequences with a common prefix, attended to together and apart.
  @Test(arguments: families, [8, 24, 40]) func sharedPrefixesChangeNothing(name: String, shared: Int) throws {
    let model = try model(name)
    let shape = model.kvShape(blockSlots: 8, keyType: .f32, valueType: .f32)
    let workspace = ForwardWorkspace(model: model, maxRows: 64)
    let prefix = tokens(shared, seed: 6)
    let common = HeapBlocks(shape, count: shared / 8)
    model.forward(
      ForwardBatch(
        tokens: prefix, positions: prefix.indices.map(Int32.init),
        sequences: [BatchSequence(blocks: common.addresses, rows: prefix.indices, firstPosition: 0)]),
      shape: shape, workspace: workspace)
    let tails = [tokens(1, seed: 7), tokens(9, seed: 8), tokens(4, seed: 9)]
    func run(group: Int) -> [[Float]] {
      let own = tails.map { _ in HeapBlocks(shape, count: 2) }
      var batch = ForwardBatch()
      for (tail, space) in zip(tails, own) {
        let first = batch.tokens.count
        batch.tokens += tail
        batch.positions += tail.indices.map { Int32(shared + $0) }
        batch.sequences.append(
          BatchSequence(
            blocks: common.addresses + space.addresses, rows: first..<(first + tail.count), firstPosition: shared,
            sharedBlocks: shared / 8, sharedGroup: group))
      }
      batch.outputRows = Array(batch.tokens.indices)
      return model.forward(batch, shape: shape, workspace: workspace).copied()
    }
    let apart = run(group: -1)
    #expect(run(group: 3) == apart)
    #expect(apart.first == TinyRun(model, blockSlots: 8).append(prefix + tails[0]).last)
  }
}
