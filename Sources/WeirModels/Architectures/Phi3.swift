// Phi-3, Phi-3.5 mini and Phi-4: Q, K, V in one matrix and gate, up in another; LongRoPE; a window in the short ones.

import WeirKernels

enum Phi3: Architecture {
  static let ggufNames = ["phi3"]
  static let huggingFaceNames = ["phi3"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try parameters.base(layout: .halves, contextLength: contextLength)
    let window = try parameters.int("attention.sliding_window", "sliding_window") ?? 0
    for layer in description.layerKinds.indices { description.layerKinds[layer].window = max(window, 0) }
    // GGUF calls the fused matrix by the name of its second half.
    if parameters.isGGUF { description.names[.gateUp] = description.names[.up] }
    return description
  }
}
