// Reading Hugging Face tokenizers: tokenizer.json, or vocab.json with merges.txt.
public import WeirBasics

extension TokenizerVocabulary {
  /// Reads a tokenizer.json whose model is byte-pair encoding.
  /// - Parameters:
  ///   - json: tokenizer.json.
  ///   - config: tokenizer_config.json, for the names of the beginning and end tokens.
  /// - Throws: `tokenizer_invalid` for wrong values, `tokenizer_unsupported` naming a section that is not known.
  public init(tokenizerJSON json: JSONValue, config: JSONValue? = nil) throws(TextError) {
    guard let model = json["model"], let vocab = model["vocab"]?.object, let list = model["merges"]?.array else {
      throw Self.invalid("tokenizer.json", "model.vocab (an object) and model.merges (an array) must be there")
    }
    if let type = model["type"]?.string, type != "BPE" {
      throw Self.unsupported("model type", type, "BPE")
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let value = model[key]?.string, !value.isEmpty { throw Self.unsupported("model.\(key)", value, "none") }
    }
    var reader = PipelineReader()
    try reader.readNormalizer(json["normalizer"])
    try reader.readPreTokenizer(json["pre_tokenizer"])
    reader.readDecoder(json["decoder"])
    guard reader.isByteLevel || reader.marksSpaces else {
      throw Self.unsupported("pre_tokenizer", "neither ByteLevel nor Metaspace", "ByteLevel, Metaspace")
    }
    var merges: [(left: [UInt8], right: [UInt8])] = []
    merges.reserveCapacity(list.count)
    for (line, item) in list.enumerated() { merges.append(try Self.merge(item, line: line)) }
    let added = json["added_tokens"]?.array ?? []
    let extra = added.compactMap { $0["id"]?.int }.max() ?? -1
    let (pieces, kinds) = try Self.pieces(vocab, highestAdded: extra)
    self.init(
      pieces: pieces, kinds: kinds, spelling: reader.isByteLevel ? .byteLevel : .spaceMark,
      mergeOrder: .list(merges))
    preTokenizer = PreTokenizer(reader.rules)
    normalizer = reader.normalizer
    spacePrefix = reader.spacePrefix
    prefixesOnlyUnspaced = reader.prefixesOnlyUnspaced
    dropsLeadingSpace = reader.dropsLeadingSpace
    addsSpaceToWords = reader.addsSpaceToWords
    prefersWholeWords = model["ignore_merges"]?.bool ?? false
    if model["byte_fallback"]?.bool ?? false { markByteTokens() }
    for token in added { try add(token, id: token["id"]?.int) }
    if let unknown = model["unk_token"]?.string { unknownToken = token(spelled: unknown) }
    readConfig(config)
    readPostProcessor(json["post_processor"])
  }

  /// Reads the older pair of files.
  /// - Parameters:
  ///   - vocab: vocab.json, spellings to token numbers.
  ///   - merges: the text of merges.txt, one pair per line.
  ///   - config: tokenizer_config.json.
  /// - Throws: as `init(tokenizerJSON:)`; `tokenizer_unsupported` for a tokenizer class that is not known.
  public init(vocab: JSONValue, merges: [UInt8], config: JSONValue? = nil) throws(TextError) {
    guard let entries = vocab.object else {
      throw Self.invalid("vocab.json", "it must be an object, not \(vocab.kindName)")
    }
    let className = config?["tokenizer_class"]?.string ?? "GPT2Tokenizer"
    let known = ["GPT2": "gpt-2", "Qwen2": "qwen2", "CodeGen": "gpt-2", "Cohere": "command-r"]
    let family = className.replacingSuffix("Fast").replacingSuffix("Tokenizer")
    guard let name = known[family] else {
      throw Self.unsupported("tokenizer_class", className, known.keys.sorted().joined(separator: ", ") + " (Tokenizer)")
    }
    var list: [(left: [UInt8], right: [UInt8])] = []
    for (number, line) in merges.split(separator: UInt8(ascii: "\n")).enumerated() {
      let text = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      if text.isEmpty || (number == 0 && text.starts(with: "#version".utf8)) { continue }
      guard let space = text.firstIndex(of: 0x20), space > text.startIndex, space + 1 < text.endIndex else {
        throw Self.invalid("merges.txt", "line \(number + 1) must be two pieces with a space between them")
      }
      list.append((Array(text[..<space]), Array(text[(space + 1)...])))
    }
    let added = config?["added_tokens_decoder"]?.object ?? JSONObject()
    let highest = added.keys.compactMap { Int($0) }.max() ?? -1
    let (pieces, kinds) = try Self.pieces(entries, highestAdded: highest)
    self.init(pieces: pieces, kinds: kinds, spelling: .byteLevel, mergeOrder: .list(list))
    preTokenizer = try PreTokenizer(ggufName: name)
    if name == "qwen2" { normalizer = [.nfc] }
    addsSpaceToWords = config?["add_prefix_space"]?.bool ?? false
    for (id, token) in added { try add(token, id: Int(id)) }
    if let text = token(spelled: "<|endoftext|>"), added.isEmpty {
      self.kinds[text.index] = .control
      eosToken = text
      bosToken = text
    }
    readConfig(config)
  }

  // MARK: parts

  static func invalid(_ file: String, _ what: String) -> TextError {
    TextError(code: "tokenizer_invalid", message: "\(file): \(what)")
  }

  static func unsupported(_ what: String, _ value: String, _ known: String) -> TextError {
    TextError(code: "tokenizer_unsupported", message: "the tokenizer's \(what) is \"\(value)\"; supported: \(known)")
  }

  private static func merge(_ item: JSONValue, line: Int) throws(TextError) -> (left: [UInt8], right: [UInt8]) {
    if let pair = item.array, pair.count == 2, let left = pair[0].string, let right = pair[1].string {
      return (Array(left.utf8), Array(right.utf8))
    }
    if let text = item.string.map({ Array($0.utf8) }), let space = text.firstIndex(of: 0x20) {
      return (Array(text[..<space]), Array(text[(space + 1)...]))
    }
    throw invalid("tokenizer.json", "model.merges[\(line)] must be two pieces: \"a b\" or [\"a\", \"b\"]")
  }

  /// Numbers that no entry has get an empty piece of kind `unused`.
  private static func pieces(_ vocab: JSONObject, highestAdded: Int) throws(TextError) -> ([[UInt8]], [Kind]) {
    var highest = highestAdded
    for value in vocab.values {
      guard let id = value.int, id >= 0 else {
        throw invalid("vocabulary", "every entry must be a whole number from 0")
      }
      highest = max(highest, id)
    }
    guard highest < vocab.count * 2 + 100_000 else {
      throw invalid("vocabulary", "the highest number, \(highest), is out of proportion to \(vocab.count) entries")
    }
    var pieces = [[UInt8]](repeating: [], count: highest + 1)
    var kinds = [Kind](repeating: .unused, count: highest + 1)
    for (text, value) in vocab {
      guard let id = value.int else { continue }
      pieces[id] = Array(text.utf8)
      kinds[id] = .normal
    }
    return (pieces, kinds)
  }

  private mutating func markByteTokens() {
    for index in pieces.indices where kinds[index] == .normal && SymbolTable.byte(ofSpelling: pieces[index]) != nil {
      kinds[index] = .byte
    }
  }

  /// One entry of `added_tokens`.
  private mutating func add(_ token: JSONValue, id: Int?) throws(TextError) {
    guard let id, pieces.indices.contains(id), let content = token["content"]?.string else {
      throw Self.invalid("added tokens", "each needs an id and a content")
    }
    pieces[id] = Array(content.utf8)
    kinds[id] = token["special"]?.bool ?? false ? .control : .userDefined
    var rule = Surroundings()
    rule.takesSpaceBefore = token["lstrip"]?.bool ?? false
    rule.takesSpaceAfter = token["rstrip"]?.bool ?? false
    rule.isSingleWord = token["single_word"]?.bool ?? false
    if rule.takesSpaceBefore || rule.takesSpaceAfter || rule.isSingleWord { surroundings[TokenID(id)] = rule }
  }

  func token(spelled text: String) -> TokenID? {
    let bytes = Array(text.utf8)
    // Special tokens are most often at one of the ends.
    return pieces.lastIndex(of: bytes).map { TokenID($0) }
  }

  private mutating func readConfig(_ config: JSONValue?) {
    guard let config else { return }
    func named(_ key: String) -> TokenID? {
      (config[key]?.string ?? config[key]?["content"]?.string).flatMap { token(spelled: $0) }
    }
    bosToken = named("bos_token") ?? bosToken
    eosToken = named("eos_token") ?? eosToken
    unknownToken = unknownToken ?? named("unk_token")
    if config["add_bos_token"]?.bool ?? false, let bosToken { prefixTokens = [bosToken] }
    if config["add_eos_token"]?.bool ?? false, let eosToken { suffixTokens = [eosToken] }
  }

  /// `TemplateProcessing` names the tokens around a single text.
  private mutating func readPostProcessor(_ json: JSONValue?) {
    guard let json else { return }
    for item in json["processors"]?.array ?? [] { readPostProcessor(item) }
    guard json["type"]?.string == "TemplateProcessing", let single = json["single"]?.array else { return }
    prefixTokens = []
    suffixTokens = []
    var isAfterText = false
    for part in single {
      if part["Sequence"] != nil { isAfterText = true }
      guard let name = part["SpecialToken"]?["id"]?.string else { continue }
      let listed = json["special_tokens"]?[name]?["ids"]?.array?.compactMap(\.int).filter {
        pieces.indices.contains($0)
      }
      let ids = listed.map { $0.map { TokenID($0) } } ?? [token(spelled: name)].compactMap { $0 }
      if isAfterText { suffixTokens += ids } else { prefixTokens += ids }
    }
    if bosToken == nil { bosToken = prefixTokens.first }
  }
}

extension String {
  fileprivate func replacingSuffix(_ suffix: String) -> String {
    hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
  }
}
