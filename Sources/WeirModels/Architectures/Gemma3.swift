// Gemma 3 (text part): Q and K norms instead of caps; sliding layers rotate by a base of their own.

import WeirBasics
import WeirKernels

enum Gemma3: Architecture {
  static let ggufNames = ["gemma3"]
  static let huggingFaceNames = ["gemma3_text"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var parameters = parameters
    // Published folders leave out what equals the defaults of transformers' Gemma3TextConfig.
    parameters.defaults = [
      "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
      "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256,
    ]
    if parameters.json("rope_parameters") == nil { parameters.defaults["rope_theta"] = 1_000_000 }
    var description = try parameters.base(layout: .halves, contextLength: contextLength)
    try Gemma2.applyCommon(parameters, to: &description)
    description.required.formUnion([.queryNorm, .keyNorm])
    description.attentionSoftcap = Float(try parameters.double(nil, "attn_logit_softcapping") ?? 0)
    description.logitSoftcap = Float(try parameters.double("final_logit_softcapping", "final_logit_softcapping") ?? 0)
    // GGUF leaves out the query scale; only the 27B model (62 layers) differs from the head size.
    if parameters.isGGUF, description.layers == 62 {
      description.attentionScale = 1 / Float(description.width / description.heads).squareRoot()
    }
    let pattern = try parameters.int("attention.sliding_window_pattern", "sliding_window_pattern")
    try Gemma2.applyWindow(parameters, to: &description, period: max(pattern ?? 6, 1))
    let stored = try parameters.double("rope.freq_base_swa", "rope_local_base_freq")
    let theta = stored ?? parameters.json("rope_parameters")?["sliding_attention"]?["rope_theta"]?.double ?? 10000
    guard let rope = description.ropes.first else { return description }
    description.ropes.append(RopeDescription(rotaryDim: rope.rotaryDim, theta: theta, layout: rope.layout))
    for layer in description.layerKinds.indices where description.layerKinds[layer].window > 0 {
      description.layerKinds[layer].rope = 1
    }
    return description
  }
}
