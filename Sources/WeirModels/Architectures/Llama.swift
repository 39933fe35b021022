// Llama 1 to 3 and what is built like it. Mixtral's GGUF files carry this name too.

import WeirKernels

/// The plain case: RMS norms, rotary attention with grouped heads, SwiGLU.
enum Llama: Architecture {
  static let ggufNames = ["llama"]
  static let huggingFaceNames = ["llama"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    // GGUF converters permute Q and K of this family so that rotated pairs are neighbours.
    var description = try parameters.base(layout: .interleaved, contextLength: contextLength)
    if parameters.isGGUF, let count = try parameters.int("expert_count", nil), count > 0 {
      description.experts = ExpertDescription(
        count: count, used: try parameters.required("expert_used_count", ""), width: description.feedForwardWidth)
      for layer in description.layerKinds.indices { description.layerKinds[layer].usesExperts = true }
    }
    return description
  }
}
