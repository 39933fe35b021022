// The tokenizer of a model's files.
import WeirBasics
public import WeirModelFiles

extension Tokenizer {
  /// Reads the tokenizer that belongs to a model.
  /// - Throws: `tokenizer_missing` when the files hold none, else as the readers of `TokenizerVocabulary`.
  public convenience init(source: ModelSource) throws(TextError) {
    switch source {
    case .gguf(let file): try self.init(vocabulary: TokenizerVocabulary(ggufMetadata: file.metadata))
    case .huggingFace(let folder): try self.init(vocabulary: Self.vocabulary(of: folder))
    }
  }

  private static func vocabulary(of folder: HuggingFaceFolder) throws(TextError) -> TokenizerVocabulary {
    var vocabulary = try files(of: folder)
    let size = vocabulary.pieces.count
    // generation_config.json knows ends of turns that tokenizer_config.json does not.
    for config in [folder.generationConfig, folder.config].compactMap({ $0 }) {
      let ends = config["eos_token_id"].map { $0.array ?? [$0] } ?? []
      for id in ends.compactMap(\.int) where id >= 0 && id < size { vocabulary.endTokens.insert(TokenID(id)) }
    }
    if vocabulary.eosToken == nil {
      let id = (folder.config["eos_token_id"]?.int ?? folder.config["eos_token_id"]?[0]?.int) ?? -1
      if id >= 0, id < size { vocabulary.eosToken = TokenID(id) }
    }
    if vocabulary.bosToken == nil, let id = folder.config["bos_token_id"]?.int, id >= 0, id < size {
      vocabulary.bosToken = TokenID(id)
    }
    return vocabulary
  }

  private static func files(of folder: HuggingFaceFolder) throws(TextError) -> TokenizerVocabulary {
    if let json = folder.tokenizer {
      return try TokenizerVocabulary(tokenizerJSON: json, config: folder.tokenizerConfig)
    }
    if let vocab = folder.vocabularyPath, let merges = folder.mergesPath {
      let bytes = try read(vocab)
      let json: JSONValue
      do {
        json = try JSONValue.parse(utf8: bytes)
      } catch {
        throw TextError(code: "tokenizer_invalid", message: "vocab.json: \(error.message)")
      }
      return try TokenizerVocabulary(vocab: json, merges: try read(merges), config: folder.tokenizerConfig)
    }
    throw TextError(
      code: "tokenizer_missing",
      message: "\(folder.path) holds no tokenizer; tokenizer.json or vocab.json with merges.txt is needed")
  }

  private static func read(_ path: String) throws(TextError) -> [UInt8] {
    do {
      let file = try MappedFile(path: path)
      return unsafe Array(file.bytes)
    } catch {
      throw TextError(code: "tokenizer_invalid", message: error.message)
    }
  }
}
