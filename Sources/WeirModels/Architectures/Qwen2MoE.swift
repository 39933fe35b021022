// Qwen1.5-MoE and Qwen2-MoE: many small experts, and one that every token uses behind a gate of its own.

import WeirBasics
import WeirModelFiles

enum Qwen2MoE: Architecture {
  static let ggufNames = ["qwen2moe"]
  static let huggingFaceNames = ["qwen2_moe"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try Qwen2.describe(parameters, contextLength: contextLength)
    try applyExperts(parameters, to: &description)
    let shared = try parameters.int("expert_shared_feed_forward_length", "shared_expert_intermediate_size")
    // Older GGUF files do not name the shared width: it is in the tensor.
    let stored = parameters.tensors["blk.0.ffn_gate_shexp.weight"]?.rows
    description.experts?.sharedWidth = shared ?? stored ?? 0
    return description
  }

  /// The Qwen line's expert fields.
  static func applyExperts(_ parameters: Hyperparameters, to description: inout DecoderDescription) throws(ModelError) {
    // GGUF has no word for it: the second generation never rescales, the third always does.
    let rescales = parameters.bool("expert_weights_norm", "norm_topk_prob") ?? (parameters.architecture == "qwen3moe")
    let storedWidth = parameters.tensors["blk.0.ffn_gate_exps.weight"].map { $0.shape[max($0.shape.count - 2, 0)] }
    guard
      let width = try parameters.int("expert_feed_forward_length", "moe_intermediate_size") ?? storedWidth
    else {
      throw ModelError(
        .missingField, parameters.spelled("expert_feed_forward_length", "moe_intermediate_size"),
        "a mixture of experts must have it")
    }
    let named = try parameters.int("expert_count", "num_experts")
    let count = if let named { named } else { try parameters.required("expert_count", "num_local_experts") }
    description.experts = ExpertDescription(
      count: count,
      used: try parameters.required("expert_used_count", "num_experts_per_tok"), width: width,
      normalisesWeights: rescales)
    let step = max(try parameters.int(nil, "decoder_sparse_step") ?? 1, 1)
    let dense = Set(parameters.json("mlp_only_layers")?.array?.compactMap(\.int) ?? [])
    for layer in description.layerKinds.indices where !dense.contains(layer) && (layer + 1) % step == 0 {
      description.layerKinds[layer].usesExperts = true
    }
  }
}
