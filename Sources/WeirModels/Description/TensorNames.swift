// Where each part of a layer is found in a file.

/// The part a tensor plays in a decoder.
enum TensorRole: String, Sendable, CaseIterable, Hashable {
  case embedding, outputNorm, output
  case attentionNorm, query, key, value, queryKeyValue, attentionOutput
  case queryBias, keyBias, valueBias, queryKeyValueBias, attentionOutputBias
  case queryNorm, keyNorm, postAttentionNorm
  case feedForwardNorm, gate, up, gateUp, down, gateBias, upBias, downBias, postFeedForwardNorm
  case router, expertGate, expertUp, expertDown, stackedGate, stackedUp, stackedDown
  case sharedGate, sharedUp, sharedDown, sharedRouter
}

/// Names by role; `{l}` stands for the layer, `{e}` for the expert. Earlier candidates win.
struct TensorNames: Sendable {
  private var patterns: [TensorRole: [String]]
  /// What stands before `layers.` or `blk.` names of this model's text part.
  let layerPrefix: String

  subscript(role: TensorRole) -> [String] {
    get { patterns[role] ?? [] }
    set { patterns[role] = newValue }
  }

  /// The role's names in `layer`.
  func candidates(_ role: TensorRole, layer: Int = 0, expert: Int = 0) -> [String] {
    self[role].map { $0.replacing("{l}", with: "\(layer)").replacing("{e}", with: "\(expert)") }
  }

  /// GGUF names, as llama.cpp's converters write them.
  static let gguf: TensorNames = {
    let layer: [(TensorRole, String)] = [
      (.attentionNorm, "attn_norm"), (.query, "attn_q"), (.key, "attn_k"), (.value, "attn_v"),
      (.queryKeyValue, "attn_qkv"), (.attentionOutput, "attn_output"), (.queryNorm, "attn_q_norm"),
      (.keyNorm, "attn_k_norm"), (.postAttentionNorm, "post_attention_norm"), (.feedForwardNorm, "ffn_norm"),
      (.gate, "ffn_gate"), (.up, "ffn_up"), (.down, "ffn_down"), (.postFeedForwardNorm, "post_ffw_norm"),
      (.router, "ffn_gate_inp"), (.expertGate, "ffn_gate.{e}"), (.expertUp, "ffn_up.{e}"),
      (.expertDown, "ffn_down.{e}"), (.stackedGate, "ffn_gate_exps"), (.stackedUp, "ffn_up_exps"),
      (.stackedDown, "ffn_down_exps"), (.sharedGate, "ffn_gate_shexp"), (.sharedUp, "ffn_up_shexp"),
      (.sharedDown, "ffn_down_shexp"), (.sharedRouter, "ffn_gate_inp_shexp"),
    ]
    return TensorNames(
      prefix: "blk.", top: [(.embedding, "token_embd"), (.outputNorm, "output_norm"), (.output, "output")], layer: layer
    )
  }()

  /// Hugging Face names of the Llama line; `prefix` is `model.` or where a multimodal model keeps its text part.
  static func huggingFace(prefix: String) -> TensorNames {
    let layer: [(TensorRole, String)] = [
      (.attentionNorm, "input_layernorm"), (.query, "self_attn.q_proj"), (.key, "self_attn.k_proj"),
      (.value, "self_attn.v_proj"), (.queryKeyValue, "self_attn.qkv_proj"), (.attentionOutput, "self_attn.o_proj"),
      (.queryNorm, "self_attn.q_norm"), (.keyNorm, "self_attn.k_norm"),
      (.feedForwardNorm, "post_attention_layernorm"), (.gate, "mlp.gate_proj"), (.up, "mlp.up_proj"),
      (.gateUp, "mlp.gate_up_proj"), (.down, "mlp.down_proj"), (.router, "mlp.gate"),
      (.expertGate, "mlp.experts.{e}.gate_proj"), (.expertUp, "mlp.experts.{e}.up_proj"),
      (.expertDown, "mlp.experts.{e}.down_proj"), (.sharedGate, "mlp.shared_expert.gate_proj"),
      (.sharedUp, "mlp.shared_expert.up_proj"), (.sharedDown, "mlp.shared_expert.down_proj"),
      (.sharedRouter, "mlp.shared_expert_gate"),
    ]
    var names = TensorNames(
      prefix: prefix + "layers.", top: [(.embedding, prefix + "embed_tokens"), (.outputNorm, prefix + "norm")],
      layer: layer)
    // Multimodal checkpoints put the output matrix beside the text model or inside it.
    names[.output] = ["lm_head.weight", prefix + "lm_head.weight", "language_model.lm_head.weight"]
    return names
  }

  private init(prefix: String, top: [(TensorRole, String)], layer: [(TensorRole, String)]) {
    layerPrefix = prefix
    patterns = [:]
    let biases: [TensorRole: TensorRole] = [
      .query: .queryBias, .key: .keyBias, .value: .valueBias, .queryKeyValue: .queryKeyValueBias,
      .attentionOutput: .attentionOutputBias, .gate: .gateBias, .up: .upBias, .down: .downBias,
    ]
    for (role, name) in top { patterns[role] = [name + ".weight"] }
    for (role, name) in layer {
      patterns[role] = ["\(prefix){l}.\(name).weight"]
      if let bias = biases[role] { patterns[bias] = ["\(prefix){l}.\(name).bias"] }
    }
  }

  /// The pattern of a part of a layer, for families that call it differently.
  func pattern(_ name: String) -> [String] { ["\(layerPrefix){l}.\(name)"] }
}
