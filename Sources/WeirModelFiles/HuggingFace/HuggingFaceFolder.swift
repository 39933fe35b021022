// A model folder as Hugging Face's transformers writes it.

public import WeirBasics

/// A folder with `config.json`, safetensors shards and tokenizer files.
public struct HuggingFaceFolder: Sendable {
  public let path: String
  public let config: JSONValue
  /// `generation_config.json`, if it is there.
  public let generationConfig: JSONValue?
  /// `tokenizer.json`, if it is there.
  public let tokenizer: JSONValue?
  /// `tokenizer_config.json`, if it is there.
  public let tokenizerConfig: JSONValue?
  /// From `chat_template.jinja`, `chat_template.json` or `tokenizer_config.json`, in this order.
  public let chatTemplate: String?
  /// `vocab.json` and `merges.txt`: the older form of a byte-level BPE vocabulary.
  public let vocabularyPath: String?
  public let mergesPath: String?
  /// `tokenizer.model`: a SentencePiece vocabulary.
  public let sentencePiecePath: String?
  /// The tensors of all shards.
  public let tensors: [String: TensorView]
  /// Tensors that are there but of a type no kernel reads, with the type's name.
  public let unsupportedTensors: [String: String]
  /// Names of the shard files, sorted.
  public let shards: [String]

  /// Opens a folder.
  ///
  /// - Parameter path: the folder.
  /// - Throws: `ModelFileError` naming the file and field that was wrong.
  public init(path: String) throws(ModelFileError) {
    self.path = path
    guard MappedFile.isDirectory(path) else {
      throw ModelFileError(.cannotOpen, path: path, field: "folder", "it must be a folder")
    }
    guard let config = try Self.json(path, "config.json") else {
      throw ModelFileError(.missing, path: path, field: "config.json", "a model folder must have it")
    }
    guard config.object != nil else {
      throw ModelFileError(.badJSON, path: path, field: "config.json", "it must be an object, not \(config.kindName)")
    }
    self.config = config
    generationConfig = try Self.json(path, "generation_config.json")
    tokenizer = try Self.json(path, "tokenizer.json")
    tokenizerConfig = try Self.json(path, "tokenizer_config.json")
    chatTemplate = try Self.chatTemplate(path, tokenizerConfig)
    vocabularyPath = Self.existing(path, "vocab.json")
    mergesPath = Self.existing(path, "merges.txt")
    sentencePiecePath = Self.existing(path, "tokenizer.model")
    let loaded = try HuggingFaceShards(folder: path)
    tensors = loaded.tensors
    unsupportedTensors = loaded.unsupportedTensors
    shards = loaded.files
  }

  static func existing(_ folder: String, _ name: String) -> String? {
    let path = "\(folder)/\(name)"
    return MappedFile.exists(path) ? path : nil
  }

  /// Parses `name` in `folder`; nil if it is not there.
  static func json(_ folder: String, _ name: String) throws(ModelFileError) -> JSONValue? {
    guard let path = existing(folder, name) else { return nil }
    let file = try MappedFile(path: path)
    do {
      return try JSONValue.parse(utf8: file.contents())
    } catch {
      throw ModelFileError(.badJSON, path: path, field: name, error.message)
    }
  }

  private static func chatTemplate(_ folder: String, _ tokenizerConfig: JSONValue?) throws(ModelFileError) -> String? {
    if let path = existing(folder, "chat_template.jinja") {
      let file = try MappedFile(path: path)
      guard let text = String(validating: file.contents(), as: UTF8.self) else {
        throw ModelFileError(.badText, path: path, field: "chat_template.jinja", "it must be UTF-8")
      }
      return text
    }
    if let text = try json(folder, "chat_template.json")?["chat_template"]?.string { return text }
    let template = tokenizerConfig?["chat_template"]
    if let text = template?.string { return text }
    // Several named templates: the one called "default" is for chat.
    return template?.array?.first { $0["name"]?.string == "default" }?["template"]?.string
  }
}

/// The weights of a folder: one file, or several named by an index.
struct HuggingFaceShards {
  private(set) var tensors: [String: TensorView] = [:]
  private(set) var unsupportedTensors: [String: String] = [:]
  private(set) var files: [String] = []

  init(folder: String) throws(ModelFileError) {
    let indexName = "model.safetensors.index.json"
    guard let index = try HuggingFaceFolder.json(folder, indexName) else {
      guard HuggingFaceFolder.existing(folder, "model.safetensors") != nil else {
        throw ModelFileError(
          .missing, path: folder, field: "model.safetensors", "a model folder must have it or \(indexName)")
      }
      try add(folder, "model.safetensors")
      return
    }
    let places = try Self.places(index, path: "\(folder)/\(indexName)")
    for name in Set(places.map(\.shard)).sorted() { try add(folder, name) }
    for (tensor, shard) in places {
      let owner = tensors[tensor].map(\.owner.path)
      let isThere = owner == "\(folder)/\(shard)" || unsupportedTensors[tensor] != nil
      guard isThere else {
        throw ModelFileError(
          .missing, path: "\(folder)/\(shard)", field: "tensor \(tensor)", "the index says that it is in this shard")
      }
    }
  }

  private static func places(
    _ index: JSONValue, path: String
  ) throws(ModelFileError) -> [(tensor: String, shard: String)] {
    guard let map = index["weight_map"]?.object, !map.isEmpty else {
      throw ModelFileError(.badJSON, path: path, field: "weight_map", "it must be an object from tensors to files")
    }
    var places: [(tensor: String, shard: String)] = []
    for (tensor, value) in map {
      guard let shard = value.string else {
        throw ModelFileError(.badJSON, path: path, field: "weight_map \(tensor)", "it must be a file name")
      }
      guard !shard.utf8.contains(UInt8(ascii: "/")), !shard.utf8.contains(0), shard.hasSuffix(".safetensors") else {
        throw ModelFileError(
          .unsafePath, path: path, field: "weight_map \(tensor)",
          "`\(shard)` must be the name of a .safetensors file in the same folder")
      }
      places.append((tensor, shard))
    }
    return places
  }

  private mutating func add(_ folder: String, _ name: String) throws(ModelFileError) {
    let path = "\(folder)/\(name)"
    let file = try SafetensorsFile(path: path)
    files.append(name)
    for (tensor, view) in file.tensors {
      guard tensors.updateValue(view, forKey: tensor) == nil else {
        throw ModelFileError(.duplicateName, path: path, field: "tensor \(tensor)", "another shard has it too")
      }
    }
    unsupportedTensors.merge(file.unsupportedTensors) { first, _ in first }
  }
}
