// A model's tokenizer as the files that Python tools read.
import WeirBasics
public import WeirModelFiles

/// Writes tokenizers in the format of Hugging Face's `tokenizers` library.
public enum TokenizerExport {
  /// The texts of `tokenizer.json` and `tokenizer_config.json`, by file name. A folder's own files stay as they are.
  /// - Throws: as `Tokenizer(source:)`; `tokenizer_unsupported` for a tokenizer that the format cannot express.
  public static func files(source: ModelSource) throws(TextError) -> [String: String] {
    var texts: [String: String] = [:]
    if case .huggingFace(let folder) = source, folder.tokenizer != nil {
      texts["tokenizer.json"] = try ownText(folder, "tokenizer.json")
      if folder.tokenizerConfig != nil { texts["tokenizer_config.json"] = try ownText(folder, "tokenizer_config.json") }
      if texts.count == 2 { return texts }
    }
    let vocabulary = try Tokenizer(source: source).vocabulary
    if texts.isEmpty { texts["tokenizer.json"] = try tokenizerJSON(vocabulary).serialized() }
    texts["tokenizer_config.json"] = configuration(vocabulary, source).serialized(indent: 2)
    return texts
  }

  private static func ownText(_ folder: HuggingFaceFolder, _ name: String) throws(TextError) -> String {
    do {
      let file = try MappedFile(path: folder.path + "/" + name)
      return unsafe String(decoding: file.bytes, as: UTF8.self)
    } catch {
      throw TextError(code: "tokenizer_invalid", message: error.message)
    }
  }

  // MARK: tokenizer.json

  /// The whole of tokenizer.json.
  static func tokenizerJSON(_ vocabulary: TokenizerVocabulary) throws(TextError) -> JSONValue {
    .object([
      "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": .array(addedTokens(vocabulary)),
      "normalizer": try normalizer(vocabulary), "pre_tokenizer": try preTokenizer(vocabulary),
      "post_processor": postProcessor(vocabulary), "decoder": decoder(vocabulary), "model": model(vocabulary),
    ])
  }

  private static func text(_ vocabulary: TokenizerVocabulary, _ token: TokenID) -> String {
    String(decoding: vocabulary.pieces[token.index], as: UTF8.self)
  }

  private static func addedTokens(_ vocabulary: TokenizerVocabulary) -> [JSONValue] {
    var seen: Set<[UInt8]> = []
    return vocabulary.pieces.indices.compactMap { index in
      let kind = vocabulary.kinds[index]
      let piece = vocabulary.pieces[index]
      guard kind == .control || kind == .unknown || kind == .userDefined else { return nil }
      guard !piece.isEmpty, seen.insert(piece).inserted else { return nil }
      let around = vocabulary.surroundings[TokenID(index)] ?? TokenizerVocabulary.Surroundings()
      return .object([
        "id": .integer(Int64(index)), "content": .string(text(vocabulary, TokenID(index))),
        "single_word": .bool(around.isSingleWord), "lstrip": .bool(around.takesSpaceBefore),
        "rstrip": .bool(around.takesSpaceAfter), "normalized": false, "special": .bool(kind != .userDefined),
      ])
    }
  }

  private static func normalizer(_ vocabulary: TokenizerVocabulary) throws(TextError) -> JSONValue {
    var steps: [JSONValue] = vocabulary.normalizer.map { step in
      switch step {
      case .nfc: ["type": "NFC"]
      case .lowercase: ["type": "Lowercase"]
      case .prepend(let prefix): ["type": "Prepend", "prepend": .string(prefix)]
      case .replace(let old, let new): replacing(old, with: new)
      }
    }
    if vocabulary.spelling == .spaceMark {
      switch vocabulary.spacePrefix {
      case .never: break
      case .everyFragment where !vocabulary.prefixesOnlyUnspaced:
        steps.append(["type": "Prepend", "prepend": "\u{2581}"])
      case .everyFragment, .first:
        throw TokenizerVocabulary.unsupported("space prefix", "Metaspace", "a prefix before every fragment, or none")
      }
      steps.append(replacing(" ", with: "\u{2581}"))
    }
    if steps.count == 1 { return steps[0] }
    return steps.isEmpty ? .null : ["type": "Sequence", "normalizers": .array(steps)]
  }

  private static func replacing(_ old: String, with new: String) -> JSONValue {
    ["type": "Replace", "pattern": ["String": .string(old)], "content": .string(new)]
  }

  private static func preTokenizer(_ vocabulary: TokenizerVocabulary) throws(TextError) -> JSONValue {
    guard vocabulary.spelling == .byteLevel else { return .null }
    // Only GPT-2's own section adds a space to the text; after another split it would add one to every word.
    let isPlain = vocabulary.addsSpaceToWords
    if isPlain, vocabulary.preTokenizer.rules != [.gpt2] {
      throw TokenizerVocabulary.unsupported("space prefix", "with this splitter", "a prefix with the splitter gpt-2")
    }
    var parts: [JSONValue] = []
    for rule in isPlain ? [] : vocabulary.preTokenizer.rules {
      guard let pattern = rule.pattern else {
        throw TokenizerVocabulary.unsupported("splitter", "\(rule)", "the splitters of GGUF files")
      }
      parts.append(
        ["type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false])
    }
    parts.append(byteLevel(addsPrefix: isPlain, splits: isPlain))
    return parts.count == 1 ? parts[0] : ["type": "Sequence", "pretokenizers": .array(parts)]
  }

  private static func byteLevel(addsPrefix: Bool, splits: Bool) -> JSONValue {
    [
      "type": "ByteLevel", "add_prefix_space": .bool(addsPrefix), "trim_offsets": false, "use_regex": .bool(splits),
    ]
  }

  /// The tokens around a text, for one text and for a pair.
  private static func postProcessor(_ vocabulary: TokenizerVocabulary) -> JSONValue {
    let around = vocabulary.prefixTokens + vocabulary.suffixTokens
    if around.isEmpty {
      return vocabulary.spelling == .byteLevel ? byteLevel(addsPrefix: false, splits: false) : .null
    }
    func single(_ name: String, _ type: Int64) -> [JSONValue] {
      func special(_ token: TokenID) -> JSONValue {
        ["SpecialToken": ["id": .string(text(vocabulary, token)), "type_id": .integer(type)]]
      }
      return vocabulary.prefixTokens.map(special)
        + [["Sequence": ["id": .string(name), "type_id": .integer(type)]]] + vocabulary.suffixTokens.map(special)
    }
    var named = JSONObject()
    for token in around {
      let name = text(vocabulary, token)
      named[name] = ["id": .string(name), "ids": [.integer(Int64(token.index))], "tokens": [.string(name)]]
    }
    return [
      "type": "TemplateProcessing", "single": .array(single("A", 0)),
      "pair": .array(single("A", 0) + single("B", 1)), "special_tokens": .object(named),
    ]
  }

  private static func decoder(_ vocabulary: TokenizerVocabulary) -> JSONValue {
    if vocabulary.spelling == .byteLevel { return byteLevel(addsPrefix: true, splits: true) }
    var steps: [JSONValue] = [replacing("\u{2581}", with: " "), ["type": "ByteFallback"], ["type": "Fuse"]]
    if vocabulary.dropsLeadingSpace {
      steps.append(["type": "Strip", "content": " ", "start": 1, "stop": 0])
    }
    return ["type": "Sequence", "decoders": .array(steps)]
  }
}
