// What is wrong with a model is said by name.

import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

struct ModelErrorTests {
  static let context = KernelContext(pool: WorkerPool(threads: 1))

  func failure(_ source: ModelSource) throws -> ModelError {
    try #require(throws: ModelError.self) { try DecoderModel(source: source, context: Self.context) }
  }

  @Test func unknownArchitecturesListTheKnownOnes() throws {
    let source = try GoldenModel.named("llama").openFolder(config: { $0["model_type"] = "mamba" })
    let error = try failure(source)
    #expect(error.reason == .unknownArchitecture)
    #expect(error.message.contains("mamba") && error.message.contains("qwen3_moe"))
  }

  @Test func missingTensorsAreNamed() throws {
    let name = "model.layers.1.mlp.up_proj.weight"
    let error = try failure(try GoldenModel.named("llama").openFolder(without: [name]))
    #expect(error.reason == .missingTensor && error.subject == name)
  }

  @Test func biasesThatTheFamilyNeedsAreMissed() throws {
    let name = "model.layers.2.self_attn.k_proj.bias"
    let error = try failure(try GoldenModel.named("qwen2").openFolder(without: [name]))
    #expect(error.reason == .missingTensor && error.subject == name)
  }

  @Test func tensorsThatNobodyReadsAreNamed() throws {
    let name = "model.layers.0.self_attn.sinks"
    let error = try failure(try GoldenModel.named("llama").openFolder(extra: [(name, [6])]))
    #expect(error.reason == .unexpectedTensor && error.subject == name)
  }

  @Test func wrongShapesAreNamed() throws {
    let source = try GoldenModel.named("llama").openFolder(config: { $0["intermediate_size"] = 87 })
    let error = try failure(source)
    #expect(error.reason == .wrongShape && error.message.contains("[96, 88]"))
  }

  static let impossible: [(String, JSONValue)] = [
    ("num_attention_heads", 5), ("num_attention_heads", nil), ("num_hidden_layers", 0), ("head_dim", 15),
    ("rms_norm_eps", "small"), ("rope_theta", 0), ("vocab_size", -1), ("hidden_act", "tanh"),
    ("rope_scaling", JSONValue(["rope_type": "linear", "factor": -2])),
    ("rope_scaling", JSONValue(["rope_type": "spiral"])),
  ]

  @Test(arguments: impossible)
  func impossibleFieldsAreErrors(field: String, value: JSONValue) throws {
    _ = try failure(try GoldenModel.named("llama").openFolder(config: { $0[field] = value }))
  }

  @Test func missingFieldsAreNamedAsTheFileSpellsThem() throws {
    let source = try GoldenModel.named("qwen2").openGGUF(metadata: { $0["qwen2.block_count"] = nil })
    let error = try failure(source)
    #expect(error.reason == .missingField && error.subject == "qwen2.block_count")
  }

  @Test func moreExpertsUsedThanThereAreIsAnError() throws {
    let source = try GoldenModel.named("mixtral").openFolder(config: { $0["num_experts_per_tok"] = 9 })
    #expect(try failure(source).reason == .badField)
  }

  @Test func whatAFamilyLeavesOutHasItsDefaults() throws {
    let source = try GoldenModel.named("gemma3").openFolder(config: {
      for field in ["num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size", "rope_theta"] {
        $0[field] = nil
      }
    })
    let description = try DecoderDescription(source: source)
    #expect(description.heads == 8 && description.kvHeads == 4 && description.headDim == 256)
    #expect(description.vocabularySize == 262208 && description.ropes[0].theta == 1_000_000)
  }
}
