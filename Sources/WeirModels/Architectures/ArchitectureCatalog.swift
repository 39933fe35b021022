// The families we run. A new one is one file beside this one and one line in `all`.

/// How one family differs from a plain Llama.
protocol Architecture: Sendable {
  /// `general.architecture` of GGUF files.
  static var ggufNames: [String] { get }
  /// `model_type` of `config.json`.
  static var huggingFaceNames: [String] { get }
  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription
}

/// Every family, and the choice among them.
public enum ArchitectureCatalog {
  static let all: [any Architecture.Type] = [
    Llama.self, Mistral.self, Mixtral.self, Qwen2.self, Qwen2MoE.self, Qwen3.self, Qwen3MoE.self, Phi3.self,
    Gemma2.self, Gemma3.self,
  ]

  /// Names that GGUF files may carry in `general.architecture`.
  public static var ggufNames: [String] { all.flatMap { $0.ggufNames }.sorted() }
  /// Names that `config.json` may carry in `model_type`.
  public static var huggingFaceNames: [String] { all.flatMap { $0.huggingFaceNames }.sorted() }

  static func describe(_ parameters: Hyperparameters, contextLength: Int?) throws(ModelError) -> DecoderDescription {
    let name = parameters.architecture
    let family = all.first { (parameters.isGGUF ? $0.ggufNames : $0.huggingFaceNames).contains(name) }
    guard let family else {
      let known = (parameters.isGGUF ? ggufNames : huggingFaceNames).joined(separator: ", ")
      throw ModelError(
        .unknownArchitecture, name.isEmpty ? "(no architecture named)" : name, "supported are \(known)")
    }
    return try family.describe(parameters, contextLength: contextLength)
  }
}
