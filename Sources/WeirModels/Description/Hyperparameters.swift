// One way to ask for a number, whichever kind of file holds it.

import WeirBasics
import WeirModelFiles

/// The fields of a model's file: GGUF metadata under the architecture's prefix, or `config.json`.
///
/// Each question names the field twice: as GGUF calls it and as `config.json` calls it.
struct Hyperparameters: Sendable {
  private let metadata: [String: MetadataValue]?
  private let config: JSONValue
  let architecture: String
  /// What `config.json` leaves out when it is the family's default.
  var defaults = JSONObject()
  let tensors: [String: TensorView]

  init(source: ModelSource) {
    tensors = source.tensors
    switch source {
    case .gguf(let file):
      metadata = file.metadata
      config = nil
      architecture = source.architecture ?? ""
    case .huggingFace(let folder):
      metadata = nil
      // A multimodal model keeps its decoder's fields one level down; we run the text part.
      let inner = folder.config["text_config"]
      config = inner?["num_hidden_layers"] == nil ? folder.config : inner ?? folder.config
      architecture = config["model_type"]?.string ?? source.architecture ?? ""
    }
  }

  var isGGUF: Bool { metadata != nil }

  /// The raw field of `config.json`, for what GGUF has no word for.
  func json(_ name: String) -> JSONValue? {
    guard let value = config[name] ?? defaults[name], !value.isNull else { return nil }
    return value
  }

  private func stored(_ gguf: String?) -> MetadataValue? {
    gguf.flatMap { metadata?["\(architecture).\($0)"] }
  }

  /// The name under which a field was looked for, for messages.
  func spelled(_ gguf: String?, _ huggingFace: String?) -> String {
    isGGUF ? "\(architecture).\(gguf ?? "?")" : huggingFace ?? "?"
  }

  func int(_ gguf: String?, _ huggingFace: String?) throws(ModelError) -> Int? {
    if isGGUF {
      guard let value = stored(gguf) else { return nil }
      if let number = value.intValue { return number }
      // Some files hold one number per layer; we run those whose layers agree.
      if let numbers = value.intsValue, let first = numbers.first, numbers.allSatisfy({ $0 == first }) { return first }
      throw ModelError(.badField, spelled(gguf, nil), "it must be one whole number for all layers")
    }
    guard let value = huggingFace.flatMap({ json($0) }) else { return nil }
    guard let number = value.int else {
      throw ModelError(.badField, spelled(nil, huggingFace), "it must be a whole number, not \(value.kindName)")
    }
    return number
  }

  func double(_ gguf: String?, _ huggingFace: String?) throws(ModelError) -> Double? {
    let found = isGGUF ? stored(gguf) != nil : huggingFace.flatMap { json($0) } != nil
    guard found else { return nil }
    let number =
      isGGUF
      ? stored(gguf)?.doubleValue ?? stored(gguf)?.intValue.map(Double.init)
      : huggingFace.flatMap { json($0)?.double }
    guard let number, number.isFinite else {
      throw ModelError(.badField, spelled(gguf, huggingFace), "it must be a finite number")
    }
    return number
  }

  func string(_ gguf: String?, _ huggingFace: String?) -> String? {
    isGGUF ? stored(gguf)?.stringValue : huggingFace.flatMap { json($0)?.string }
  }

  func bool(_ gguf: String?, _ huggingFace: String?) -> Bool? {
    isGGUF ? stored(gguf)?.boolValue : huggingFace.flatMap { json($0)?.bool }
  }

  /// A whole number that must be there.
  func required(_ gguf: String, _ huggingFace: String) throws(ModelError) -> Int {
    guard let value = try int(gguf, huggingFace) else {
      throw ModelError(.missingField, spelled(gguf, huggingFace), "every \(architecture) model must have it")
    }
    guard 1...(1 << 40) ~= value else {
      throw ModelError(.badField, spelled(gguf, huggingFace), "it is \(value), it must be at least 1")
    }
    return value
  }

  /// A number that must be there.
  func requiredDouble(_ gguf: String, _ huggingFace: String) throws(ModelError) -> Double {
    guard let value = try double(gguf, huggingFace) else {
      throw ModelError(.missingField, spelled(gguf, huggingFace), "every \(architecture) model must have it")
    }
    return value
  }

  /// A small f32 tensor as numbers (GGUF keeps RoPE factors so); nil if the file has none.
  func numbers(tensor name: String) -> [Double]? {
    guard let view = tensors[name], view.type == .f32, view.elementCount * 4 == view.bytes.count else { return nil }
    return (0..<view.elementCount).map { Double(view.bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self)) }
  }

  /// Where this model's text part keeps its tensors.
  var names: TensorNames {
    if isGGUF { return .gguf }
    let prefixes = ["model.", "model.language_model.", "language_model.model.", "language_model.", ""]
    let prefix = prefixes.first { tensors[$0 + "embed_tokens.weight"] != nil }
    return .huggingFace(prefix: prefix ?? "model.")
  }
}
