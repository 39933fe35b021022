// The front door of the room: a path in, a model out.

import WeirBasics

/// A model's files, of either kind.
public enum ModelSource: Sendable {
  case gguf(GGUFFile)
  case huggingFace(HuggingFaceFolder)

  /// Opens a GGUF file or a Hugging Face folder.
  ///
  /// - Parameter path: the file or folder.
  /// - Returns: the opened model.
  /// - Throws: `ModelFileError` naming the file and field that was wrong.
  public static func open(path: String) throws(ModelFileError) -> ModelSource {
    if MappedFile.isDirectory(path) { return .huggingFace(try HuggingFaceFolder(path: path)) }
    return .gguf(try GGUFFile(path: path))
  }

  /// The path the model was opened from.
  public var path: String {
    switch self {
    case .gguf(let file): file.path
    case .huggingFace(let folder): folder.path
    }
  }

  /// All tensors by name.
  public var tensors: [String: TensorView] {
    switch self {
    case .gguf(let file): file.tensors
    case .huggingFace(let folder): folder.tensors
    }
  }

  /// The architecture's name: GGUF's `general.architecture` or `model_type` of `config.json`.
  public var architecture: String? {
    switch self {
    case .gguf(let file): file.metadata["general.architecture"]?.stringValue
    case .huggingFace(let folder): folder.config["model_type"]?.string
    }
  }
}
