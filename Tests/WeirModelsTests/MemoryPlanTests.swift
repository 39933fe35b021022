// The plan made from the files agrees with what loading takes.

import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

struct MemoryPlanTests {
  static let context = KernelContext(pool: WorkerPool(threads: 1))

  @Test(arguments: GoldenModel.all) func thePlanFromFilesAgreesWithTheLoadedModel(golden: GoldenModel) throws {
    let source = try golden.openFolder()
    let plan = try DecoderModel.memoryPlan(
      source: source, maxRows: 32, blockSlots: 16, keyType: .f16, valueType: .f16)
    let model = try DecoderModel(source: source, context: Self.context)
    let shape = model.kvShape(blockSlots: 16, keyType: .f16, valueType: .f16)
    let loaded = model.memoryPlan(maxRows: 32, shape: shape)
    #expect(plan.kvBlockBytes == shape.blockBytes && plan.kvBytesPerToken == shape.tokenBytes)
    #expect(plan.workspaceBytes == loaded.workspaceBytes)
    // The tiny models' matrices are not whole panels of rows, and norms are a large part of them.
    #expect(abs(Double(plan.weightBytes) / Double(loaded.weightBytes) - 1) < 0.03)
  }

  @Test func loadingTellsItsProgress() throws {
    final class Steps: Sendable {
      nonisolated(unsafe) var shares: [Double] = []
    }
    let steps = Steps()
    _ = try DecoderModel(source: try GoldenModel.named("qwen3-moe").openFolder(), context: Self.context) {
      steps.shares.append($0)
    }
    #expect(steps.shares == steps.shares.sorted() && steps.shares.last == 1 && steps.shares.count > 10)
  }

  @Test func countsParametersAndNamesTheStorageType() throws {
    let model = try DecoderModel(source: try GoldenModel.named("llama").openFolder(), context: Self.context)
    // 3 layers of 2 x 96 x 96 (Q, O), 2 x 32 x 96 (K, V), 3 x 88 x 96; embedding and output 2 x 96 x 96.
    #expect(model.parameterCount == 3 * (2 * 96 * 96 + 2 * 32 * 96 + 3 * 88 * 96) + 2 * 96 * 96)
    #expect(model.weightType == .f32)
  }

  @Test(arguments: Pooling.allCases) func poolingInChunksEqualsPoolingAtOnce(pooling: Pooling) {
    let states = FloatBuffer(rows: 5, columns: 3)
    for row in 0..<5 { for column in 0..<3 { states.rows.row(row)[column] = Float(row * column + 1 - column) } }
    var whole = EmbeddingAccumulator(pooling: pooling, width: 3)
    whole.append(states.rows)
    var parts = EmbeddingAccumulator(pooling: pooling, width: 3)
    for range in [0..<2, 2..<2, 2..<5] { parts.append(states.rows.slice(range)) }
    #expect(parts.embedding == whole.embedding)
    let sums: [Double] = pooling == .mean ? [5, 10, 15] : [1, 4, 7]
    let length = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
    for (value, sum) in zip(whole.embedding, sums) { #expect(abs(Double(value) - sum / length) < 1e-6) }
  }
}
