// What all families have in common, read the same way; families change what is theirs.

import WeirBasics
import WeirKernels
import WeirModelFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Hyperparameters {
  /// A Llama-like description with this model's numbers.
  ///
  /// - Parameters:
  ///   - layout: how GGUF files of this family store rotated pairs; Hugging Face folders always use halves.
  ///   - contextLength: positions that will be used at most, if that is known.
  func base(layout: RopeTable.Layout, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    let width = try required("embedding_length", "hidden_size")
    let heads = try required("attention.head_count", "num_attention_heads")
    let kvHeads = try int("attention.head_count_kv", "num_key_value_heads") ?? heads
    let headDim = try int("attention.key_length", "head_dim") ?? width / max(heads, 1)
    if let valueDim = try int("attention.value_length", nil), valueDim != headDim {
      throw ModelError(
        .unsupported, "\(architecture).attention.value_length",
        "values of \(valueDim) elements beside keys of \(headDim) are not supported")
    }
    let context = try required("context_length", "max_position_embeddings")
    let layers = try required("block_count", "num_hidden_layers")
    guard layers <= 4096 else { throw ModelError(.badField, "layers", "it is \(layers), it must be at most 4096") }
    var rope = RopeDescription(
      rotaryDim: try rotaryDim(headDim), theta: try ropeTheta(), layout: isGGUF ? layout : .halves)
    rope.scaling = try scaling(rope, context: context, used: contextLength ?? context)
    var description = DecoderDescription(
      architecture: architecture, vocabularySize: try vocabularySize(), contextLength: context, width: width,
      heads: heads, kvHeads: kvHeads, headDim: headDim,
      feedForwardWidth: try required("feed_forward_length", "intermediate_size"),
      layerKinds: Array(repeating: LayerDescription(), count: layers), ropes: [rope],
      normEpsilon: Float(try requiredDouble("attention.layer_norm_rms_epsilon", "rms_norm_eps")),
      attentionScale: 1 / Float(headDim).squareRoot(), names: names)
    if case .yarn(let yarn) = rope.scaling {
      description.contextLength = max(context, Int(yarn.original * yarn.factor))
    }
    description.isTied = isGGUF ? nil : json("tie_word_embeddings")?.bool
    description.activation = try activation()
    return description
  }

  private func vocabularySize() throws(ModelError) -> Int {
    if !isGGUF { return try required("vocab_size", "vocab_size") }
    if let rows = tensors["token_embd.weight"]?.rows { return rows }
    throw ModelError(.missingTensor, "token_embd.weight", "every model must have it")
  }

  private func rotaryDim(_ headDim: Int) throws(ModelError) -> Int {
    if let stored = try int("rope.dimension_count", nil) { return stored }
    guard let factor = ropeField("partial_rotary_factor")?.double ?? json("partial_rotary_factor")?.double else {
      return headDim
    }
    guard factor > 0, factor <= 1 else {
      throw ModelError(.badField, "partial_rotary_factor", "it is \(factor), it must be above 0 and at most 1")
    }
    return Int(Double(headDim) * factor)
  }

  private func activation() throws(ModelError) -> Activation {
    guard let name = string(nil, "hidden_activation") ?? string(nil, "hidden_act") else { return .silu }
    switch name {
    case "silu", "swish": return .silu
    case "gelu_pytorch_tanh", "gelu_new": return .geluTanh
    case "gelu": return .gelu
    case "relu": return .relu
    default:
      throw ModelError(.unsupported, "hidden_act", "'\(name)' is none of silu, gelu_pytorch_tanh, gelu, relu")
    }
  }

  /// Base frequency. Newer configurations keep it beside the scaling.
  private func ropeTheta() throws(ModelError) -> Double {
    let theta = try double("rope.freq_base", "rope_theta") ?? ropeField("rope_theta")?.double ?? 10000
    guard theta > 1 else { throw ModelError(.badField, "rope_theta", "it is \(theta), it must be above 1") }
    return theta
  }

  /// The rotation's own object: `rope_scaling`, or `rope_parameters` since transformers 5.
  private var ropeObject: JSONValue? {
    let object = json("rope_parameters") ?? json("rope_scaling")
    return object?["full_attention"] ?? object
  }

  private func ropeField(_ name: String) -> JSONValue? {
    guard let value = ropeObject?[name], !value.isNull else { return nil }
    return value
  }

  private func scaling(_ rope: RopeDescription, context: Int, used: Int) throws(ModelError) -> RopeScaling {
    if isGGUF { return try storedScaling(rope, used: used) }
    guard let object = ropeObject else { return .none }
    let kind = (object["rope_type"] ?? object["type"])?.string ?? "default"
    func number(_ name: String) throws(ModelError) -> Double {
      guard let value = object[name]?.double, value.isFinite, value > 0 else {
        throw ModelError(.badField, "rope_scaling.\(name)", "\(kind) scaling needs a number above 0")
      }
      return value
    }
    switch kind {
    // Dynamic NTK changes nothing up to the model's own context length, and we do not go beyond it.
    case "default", "none", "dynamic": return .none
    case "linear": return .linear(factor: try number("factor"))
    case "llama3":
      return .llama3(
        factor: try number("factor"), low: try number("low_freq_factor"), high: try number("high_freq_factor"),
        original: try number("original_max_position_embeddings"))
    case "yarn": return .yarn(try yarn(object, factor: try number("factor"), context: context))
    case "longrope", "su":
      return try longRope(object, rope, context: context, used: used)
    default:
      throw ModelError(
        .unsupported, "rope_scaling.rope_type", "'\(kind)' is none of linear, dynamic, llama3, yarn, longrope")
    }
  }

  private func yarn(_ object: JSONValue, factor: Double, context: Int) throws(ModelError) -> YaRN {
    var attention = YaRN.temperature(factor)
    if let scale = object["mscale"]?.double, let all = object["mscale_all_dim"]?.double, scale != 0, all != 0 {
      attention = YaRN.temperature(factor, scale) / YaRN.temperature(factor, all)
    }
    return YaRN(
      factor: factor, original: object["original_max_position_embeddings"]?.double ?? Double(context),
      betaFast: object["beta_fast"]?.double ?? 32, betaSlow: object["beta_slow"]?.double ?? 1,
      attentionFactor: object["attention_factor"]?.double ?? attention, truncates: object["truncate"]?.bool ?? true)
  }

  private func longRope(
    _ object: JSONValue, _ rope: RopeDescription, context: Int, used: Int
  ) throws(ModelError) -> RopeScaling {
    let original =
      (object["original_max_position_embeddings"] ?? json("original_max_position_embeddings"))?.int ?? context
    let field = used > original ? "long_factor" : "short_factor"
    let factors = object[field]?.array?.compactMap(\.double) ?? []
    let stretch = Double(context) / Double(max(original, 1))
    let computed = stretch <= 1 || original < 2 ? 1 : (1 + log(stretch) / log(Double(original))).squareRoot()
    return try divisors(
      factors, "rope_scaling.\(field)", rope, attentionFactor: object["attention_factor"]?.double ?? computed)
  }

  private func storedScaling(_ rope: RopeDescription, used: Int) throws(ModelError) -> RopeScaling {
    let attention = try double("rope.scaling.attn_factor", nil)
    if let factors = numbers(tensor: "rope_freqs.weight") {
      return try divisors(factors, "rope_freqs.weight", rope, attentionFactor: attention ?? 1)
    }
    let original = try int("rope.scaling.original_context_length", nil)
    let name = "rope_factors_\(used > original ?? used ? "long" : "short").weight"
    if let factors = numbers(tensor: name) {
      return try divisors(factors, name, rope, attentionFactor: attention ?? 1)
    }
    let legacy = try double("rope.scale_linear", nil)
    let factor = try double("rope.scaling.factor", nil) ?? legacy ?? 1
    guard factor > 0 else { throw ModelError(.badField, "rope.scaling.factor", "it must be above 0") }
    switch string("rope.scaling.type", nil) ?? (factor == 1 ? "none" : "linear") {
    case "none", "longrope": return .none
    case "linear": return factor == 1 ? .none : .linear(factor: factor)
    case "yarn":
      let context = try required("context_length", "")
      return .yarn(
        YaRN(
          factor: factor, original: Double(original ?? context),
          attentionFactor: (attention ?? 1) * YaRN.temperature(factor)))
    case let kind:
      throw ModelError(.unsupported, "\(architecture).rope.scaling.type", "'\(kind)' is none of none, linear, yarn")
    }
  }

  private func divisors(
    _ factors: [Double], _ name: String, _ rope: RopeDescription, attentionFactor: Double
  ) throws(ModelError) -> RopeScaling {
    guard factors.count == rope.rotaryDim / 2, factors.allSatisfy({ $0.isFinite && $0 > 0 }) else {
      throw ModelError(
        .badField, name, "it must hold \(rope.rotaryDim / 2) numbers above 0, it holds \(factors.count)")
    }
    return .divisors(factors, attentionFactor: attentionFactor)
  }
}
