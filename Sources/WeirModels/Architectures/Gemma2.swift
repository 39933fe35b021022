// Gemma 2: norms before and after each part, capped scores and logits, every other layer slides.

import WeirBasics
import WeirKernels

enum Gemma2: Architecture {
  static let ggufNames = ["gemma2"]
  static let huggingFaceNames = ["gemma2"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try parameters.base(layout: .halves, contextLength: contextLength)
    try applyCommon(parameters, to: &description)
    description.attentionSoftcap = Float(try parameters.double("attn_logit_softcapping", "attn_logit_softcapping") ?? 0)
    description.logitSoftcap = Float(try parameters.double("final_logit_softcapping", "final_logit_softcapping") ?? 0)
    // GGUF leaves out the query scale; only the 27B model (46 layers) differs from the head size.
    if parameters.isGGUF, description.layers == 46 {
      description.attentionScale = 1 / Float(description.width / description.heads).squareRoot()
    }
    try applyWindow(parameters, to: &description, period: 2)
    return description
  }

  /// What Gemma 2 and 3 share.
  static func applyCommon(_ parameters: Hyperparameters, to description: inout DecoderDescription) throws(ModelError) {
    description.activation = .geluTanh
    description.embeddingScale = Float(description.width).squareRoot()
    // GGUF converters add the 1 themselves.
    description.normsStoreOffset = !parameters.isGGUF
    if !parameters.isGGUF, description.isTied == nil { description.isTied = true }
    description.required = [.postAttentionNorm, .postFeedForwardNorm]
    if let scalar = try parameters.double(nil, "query_pre_attn_scalar"), scalar > 0 {
      description.attentionScale = 1 / Float(scalar).squareRoot()
    }
    guard !parameters.isGGUF else { return }
    let names = description.names
    description.names[.postAttentionNorm] = names.pattern("post_attention_layernorm.weight")
    description.names[.feedForwardNorm] = names.pattern("pre_feedforward_layernorm.weight")
    description.names[.postFeedForwardNorm] = names.pattern("post_feedforward_layernorm.weight")
  }

  /// All layers slide except every `period`th.
  static func applyWindow(
    _ parameters: Hyperparameters, to description: inout DecoderDescription, period: Int
  ) throws(ModelError) {
    let window = try parameters.int("attention.sliding_window", "sliding_window") ?? 4096
    for layer in description.layerKinds.indices {
      let named = parameters.json("layer_types")?[layer]?.string.map { $0 == "sliding_attention" }
      if named ?? ((layer + 1) % period != 0) { description.layerKinds[layer].window = max(window, 0) }
    }
  }
}
