// Qwen2 and Qwen2.5: biases on Q, K and V; upper layers may slide.

import WeirBasics
import WeirKernels

enum Qwen2: Architecture {
  static let ggufNames = ["qwen2"]
  static let huggingFaceNames = ["qwen2"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try parameters.base(layout: .halves, contextLength: contextLength)
    description.required = [.queryBias, .keyBias, .valueBias]
    try applyWindow(parameters, to: &description)
    return description
  }

  /// The Qwen line's rule: with `use_sliding_window`, layers from `max_window_layers` on slide.
  static func applyWindow(_ parameters: Hyperparameters, to description: inout DecoderDescription) throws(ModelError) {
    guard !parameters.isGGUF, parameters.bool(nil, "use_sliding_window") == true,
      let window = try parameters.int(nil, "sliding_window"), window > 0
    else { return }
    let first = try parameters.int(nil, "max_window_layers") ?? description.layers
    for layer in description.layerKinds.indices {
      let slides = parameters.json("layer_types")?[layer]?.string.map { $0 == "sliding_attention" } ?? (layer >= first)
      if slides { description.layerKinds[layer].window = window }
    }
  }
}
