// Partial layer ranges, subsets of positions, key limits and scatter writes.

import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

struct RowExecutorTests {
  static let context = KernelContext(pool: WorkerPool(threads: 2))
  let model: DecoderModel
  let prompt: [TokenID]

  init() throws {
    let golden = try GoldenModel.named("llama")
    model = try DecoderModel(source: try golden.openFolder(), context: Self.context)
    prompt = golden.prompt
  }

  func plan(_ input: RowPlan.Input, _ positions: [Int32], _ blocks: HeapBlocks, _ layers: Range<Int>) -> RowPlan {
    RowPlan(
      input: input, positions: positions,
      sequences: [BatchSequence(blocks: blocks.addresses, rows: positions.indices, firstPosition: 0)], layers: layers)
  }

  @Test func layerRangesAddUpToTheWholeModel() throws {
    let whole = TinyRun(model)
    let expected = whole.append(prompt)
    let parts = TinyRun(model)
    let positions = prompt.indices.map(Int32.init)
    let lower = model.forwardRows(
      plan(.tokens(prompt), positions, parts.blocks, 0..<1), shape: parts.shape, workspace: parts.workspace)
    // The states leave the workspace and come back, as they would from another node.
    let between = FloatBuffer(rows: prompt.count, columns: model.description.width)
    for row in prompt.indices {
      between.rows.row(row).update(from: lower.hidden.row(row), count: model.description.width)
    }
    var upper = plan(.hidden(between.rows), positions, parts.blocks, 1..<model.description.layers)
    upper.outputRows = Array(prompt.indices)
    #expect(model.forwardRows(upper, shape: parts.shape, workspace: parts.workspace).logits.copied() == expected)
  }

  @Test func recomputingSomePositionsOfASequenceRestoresTheirKeys() throws {
    let run = TinyRun(model)
    let expected = run.append(prompt)
    let spoiled = TinyRun(model)
    spoiled.blocks.copy(from: run.blocks)
    let repaired = [3, 4, 11, 17]
    // Other tokens at these positions spoil the keys there; the true ones repair them.
    for tokens in [repaired.map { _ in TokenID(77) }, repaired.map { prompt[$0] }] {
      _ = model.forwardRows(
        plan(.tokens(tokens), repaired.map(Int32.init), spoiled.blocks, 0..<model.description.layers),
        shape: spoiled.shape, workspace: spoiled.workspace)
    }
    var last = plan(
      .tokens([prompt[29]]), [29], spoiled.blocks, 0..<model.description.layers)
    last.outputRows = [0]
    let logits = model.forwardRows(last, shape: spoiled.shape, workspace: spoiled.workspace).logits.copied()
    #expect(logits == [expected[29]])
  }

  @Test func rowsSeeOnlyTheKeysBelowTheirLimit() throws {
    let run = TinyRun(model)
    _ = run.append(prompt)
    func last(limit: Int32?) -> [[Float]] {
      var one = plan(.tokens([prompt[29]]), [29], run.blocks, 0..<model.description.layers)
      one.keyLimits = limit.map { [$0] }
      one.outputRows = [0]
      return model.forwardRows(one, shape: run.shape, workspace: run.workspace).logits.copied()
    }
    #expect(last(limit: 30) == last(limit: nil))
    let limited = last(limit: 12)
    #expect(limited != last(limit: nil))
    // What lies beyond the limit must not matter.
    let other = TinyRun(model)
    _ = other.append(Array(prompt[0..<12]) + prompt[12..<29].map { TokenID(UInt32($0.rawValue ^ 1)) })
    run.blocks.copy(from: other.blocks)
    #expect(last(limit: 12) == limited)
  }

  @Test func bidirectionalRowsSeeLaterKeys() throws {
    let run = TinyRun(model)
    var both = plan(.tokens(prompt), prompt.indices.map(Int32.init), run.blocks, 0..<model.description.layers)
    both.isBidirectional = true
    both.outputRows = [0, 29]
    let first = model.forwardRows(both, shape: run.shape, workspace: run.workspace).logits.copied()
    both.input = .tokens(prompt.dropLast() + [TokenID(50)])
    let second = model.forwardRows(both, shape: run.shape, workspace: run.workspace).logits.copied()
    #expect(first[0] != second[0])
  }
}
