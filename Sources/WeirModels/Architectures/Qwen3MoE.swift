// Qwen3-MoE: Qwen3's attention with a mixture of experts, none shared.

enum Qwen3MoE: Architecture {
  static let ggufNames = ["qwen3moe"]
  static let huggingFaceNames = ["qwen3_moe"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try Qwen3.describe(parameters, contextLength: contextLength)
    try Qwen2MoE.applyExperts(parameters, to: &description)
    return description
  }
}
