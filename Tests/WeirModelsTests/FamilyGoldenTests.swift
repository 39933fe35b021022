// Every family gives the logits that transformers gives, from both kinds of files.

import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

struct FamilyGoldenTests {
  static let context = KernelContext(pool: WorkerPool(threads: 2))

  /// LongRoPE's short factors belong to contexts up to the original length.
  static func contextLength(_ golden: GoldenModel) -> Int? { golden.name == "phi3" ? 64 : nil }

  func check(_ golden: GoldenModel, _ source: ModelSource) throws {
    let model = try DecoderModel(
      source: source, context: Self.context, contextLength: Self.contextLength(golden))
    let logits = TinyRun(model, slots: 48).append(golden.prompt)
    let distance = golden.rows.map { logits[$0] }.distance(golden.logits)
    #expect(distance <= golden.tolerance, "\(golden.name): off by \(distance), allowed \(golden.tolerance)")
    #expect(logits.map(\.argmax) == golden.greedy)
  }

  @Test func thereIsAModelOfEveryFamily() {
    let tested = Set(GoldenModel.all.compactMap { $0.entry["config"]?["model_type"]?.string })
    #expect(tested == Set(ArchitectureCatalog.huggingFaceNames))
    let stored = Set(GoldenModel.all.compactMap { $0.entry["gguf"]?["metadata"]?["general.architecture"]?.string })
    // Mistral's GGUF files are called llama.
    #expect(stored.union(["mistral"]) == Set(ArchitectureCatalog.ggufNames))
  }

  @Test(arguments: GoldenModel.all) func foldersGiveTheReferenceLogits(golden: GoldenModel) throws {
    try check(golden, try golden.openFolder())
  }

  @Test(arguments: GoldenModel.all.filter(\.hasGGUF)) func ggufFilesGiveTheReferenceLogits(golden: GoldenModel) throws {
    try check(golden, try golden.openGGUF())
  }

  @Test(arguments: ["mixtral", "qwen2-moe"]) func oneTensorPerExpertWorksToo(name: String) throws {
    let golden = try GoldenModel.named(name)
    try check(golden, try golden.openGGUF(perExpert: true))
  }

  @Test(arguments: GoldenModel.all) func finalHiddenStatesAreThoseOfTheReference(golden: GoldenModel) throws {
    let model = try DecoderModel(
      source: try golden.openFolder(), context: Self.context, contextLength: Self.contextLength(golden))
    let run = TinyRun(model, slots: 48)
    let batch = ForwardBatch(
      tokens: golden.prompt, positions: golden.prompt.indices.map(Int32.init),
      sequences: [BatchSequence(blocks: run.blocks.addresses, rows: golden.prompt.indices, firstPosition: 0)],
      wantHidden: true)
    #expect(model.forward(batch, shape: run.shape, workspace: run.workspace).count == 0)
    let hidden = run.workspace.finalHidden.copied()
    #expect(hidden.count == golden.prompt.count)
    #expect([hidden[golden.prompt.count - 1]].distance([golden.lastHidden]) <= golden.tolerance)
  }
}
