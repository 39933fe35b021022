// Reading the tokenizer that GGUF files carry in their metadata.
import WeirBasics
public import WeirModelFiles

extension TokenizerVocabulary {
  /// Reads the `tokenizer.ggml.*` keys.
  /// - Throws: `tokenizer_missing` without tokens, `tokenizer_invalid` for wrong values, `tokenizer_unsupported` for a
  ///   model or pre-tokenizer that is not known.
  public init(ggufMetadata metadata: [String: MetadataValue]) throws(TextError) {
    let keys = GGUFKeys(metadata)
    guard let tokens = keys["tokens"]?.stringsValue, !tokens.isEmpty else {
      throw TextError(
        code: "tokenizer_missing", message: "the file has no tokenizer.ggml.tokens; a list of strings is needed")
    }
    let model = keys["model"]?.stringValue ?? ""
    guard model == "llama" || model == "gpt2" else {
      throw Self.unsupported("tokenizer.ggml.model", model, "llama, gpt2")
    }
    let isScored = model == "llama"
    self.init(
      pieces: tokens.map { Array($0) }, kinds: try Self.kinds(keys["token_type"], count: tokens.count),
      spelling: isScored ? .spaceMark : .byteLevel,
      mergeOrder: isScored
        ? .scores(try Self.scores(keys["scores"], count: tokens.count)) : .list(try Self.merges(keys["merges"])))
    let preName = keys["pre"]?.stringValue ?? "default"
    if isScored {
      let addsPrefix = keys["add_space_prefix"]?.boolValue ?? true
      spacePrefix = addsPrefix ? .everyFragment : .never
      dropsLeadingSpace = addsPrefix
    } else {
      preTokenizer = try PreTokenizer(ggufName: preName)
      addsSpaceToWords = keys["add_space_prefix"]?.boolValue ?? false
      prefersWholeWords = Self.wholeWordFamilies.contains(preName)
    }
    bosToken = try keys.token("bos_token_id", count: tokens.count) ?? (isScored ? 1 : nil)
    eosToken = try keys.token("eos_token_id", count: tokens.count) ?? (isScored ? 2 : nil)
    unknownToken = try keys.token("unknown_token_id", count: tokens.count) ?? (isScored ? 0 : nil)
    for key in ["eot_token_id", "eom_token_id"] {
      if let token = try keys.token(key, count: tokens.count) { endTokens.insert(token) }
    }
    let addsBos = keys["add_bos_token"]?.boolValue ?? (isScored || Self.wholeWordFamilies.contains(preName))
    if addsBos, let bosToken { prefixTokens = [bosToken] }
    if keys["add_eos_token"]?.boolValue ?? false, let eosToken { suffixTokens = [eosToken] }
  }

  /// Pre-tokenizers whose models take a word of the vocabulary as it is and begin texts with a token by default.
  private static let wholeWordFamilies: Set<String> = [
    "llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "llama4",
  ]

  private static func kinds(_ value: MetadataValue?, count: Int) throws(TextError) -> [Kind] {
    guard let value else { return [Kind](repeating: .normal, count: count) }
    guard let numbers = value.intsValue else {
      throw invalid("tokenizer.ggml.token_type", "it must be an array of whole numbers")
    }
    // 0 is "undefined" in some files.
    return numbers.map { UInt8(exactly: $0).flatMap { Kind(rawValue: $0) } ?? .normal }
  }

  private static func scores(_ value: MetadataValue?, count: Int) throws(TextError) -> [Float] {
    guard let scores = value?.floatsValue, scores.count == count else {
      throw invalid("tokenizer.ggml.scores", "it must be an array of \(count) numbers, one per token")
    }
    return scores
  }

  private static func merges(_ value: MetadataValue?) throws(TextError) -> [(left: [UInt8], right: [UInt8])] {
    guard let lines = value?.stringsValue else {
      throw invalid("tokenizer.ggml.merges", "it must be an array of strings")
    }
    var result: [(left: [UInt8], right: [UInt8])] = []
    result.reserveCapacity(lines.count)
    for (number, line) in lines.enumerated() {
      // The space that separates the pieces is never the first byte.
      guard let space = line.dropFirst().firstIndex(of: 0x20), space + 1 < line.endIndex else {
        throw invalid("tokenizer.ggml.merges", "entry \(number) must be two pieces with a space between them")
      }
      result.append((Array(line[..<space]), Array(line[(space + 1)...])))
    }
    return result
  }
}

/// The `tokenizer.ggml.` part of a GGUF header.
private struct GGUFKeys {
  private let metadata: [String: MetadataValue]

  init(_ metadata: [String: MetadataValue]) { self.metadata = metadata }

  subscript(name: String) -> MetadataValue? { metadata["tokenizer.ggml." + name] }

  func token(_ name: String, count: Int) throws(TextError) -> TokenID? {
    guard let value = self[name] else { return nil }
    guard let index = value.intValue, index >= 0, index <= Int(UInt32.max) else {
      throw TokenizerVocabulary.invalid("tokenizer.ggml.\(name)", "it must be a token number")
    }
    if index == Int(UInt32.max) { return nil }
    guard index < count else {
      throw TokenizerVocabulary.invalid(
        "tokenizer.ggml.\(name)", "\(index) is not below \(count), the number of tokens")
    }
    return TokenID(index)
  }
}
