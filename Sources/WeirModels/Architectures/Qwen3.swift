// Qwen3: no biases; Q and K are normalised per head before the rotation.

import WeirKernels

enum Qwen3: Architecture {
  static let ggufNames = ["qwen3"]
  static let huggingFaceNames = ["qwen3"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try parameters.base(layout: .halves, contextLength: contextLength)
    description.required = [.queryNorm, .keyNorm]
    try Qwen2.applyWindow(parameters, to: &description)
    return description
  }
}
