// Mixtral: Mistral's attention with a mixture of experts in every layer. Its GGUF files are called llama.

enum Mixtral: Architecture {
  static let ggufNames: [String] = []
  static let huggingFaceNames = ["mixtral"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try Mistral.describe(parameters, contextLength: contextLength)
    description.experts = ExpertDescription(
      count: try parameters.required("", "num_local_experts"), used: try parameters.required("", "num_experts_per_tok"),
      width: description.feedForwardWidth)
    for layer in description.layerKinds.indices { description.layerKinds[layer].usesExperts = true }
    let names = description.names
    description.names[.router] = names.pattern("block_sparse_moe.gate.weight") + names[.router]
    description.names[.expertGate] = names.pattern("block_sparse_moe.experts.{e}.w1.weight")
    description.names[.expertDown] = names.pattern("block_sparse_moe.experts.{e}.w2.weight")
    description.names[.expertUp] = names.pattern("block_sparse_moe.experts.{e}.w3.weight")
    return description
  }
}
