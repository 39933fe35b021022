// Mistral: Llama with a sliding window in its first version. GGUF files of it are called llama.

import WeirKernels

enum Mistral: Architecture {
  static let ggufNames = ["mistral"]
  static let huggingFaceNames = ["mistral"]

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    var description = try parameters.base(layout: .interleaved, contextLength: contextLength)
    let window = try parameters.int("attention.sliding_window", "sliding_window") ?? 0
    for layer in description.layerKinds.indices { description.layerKinds[layer].window = max(window, 0) }
    return description
  }
}
