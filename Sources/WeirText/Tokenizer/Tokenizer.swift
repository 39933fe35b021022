// Text to tokens and back.
import Synchronization
public import WeirBasics

/// A model's tokenizer. Immutable after it is made, apart from a cache of words; safe to use from any thread.
public final class Tokenizer: Sendable {
  let vocabulary: TokenizerVocabulary
  let symbols: SymbolTable
  /// Tokens recognised in text as a whole: all of them, and those that are recognised even when special tokens are not.
  private let allSpecial: SpecialTokens
  private let alwaysSpecial: SpecialTokens
  private let idsByText: PieceTable
  private let bytesOfTokens: ByteArena
  /// The vocabulary's, or one that cuts at spaces where that provably changes nothing.
  private let preTokenizer: PreTokenizer
  private let cache = Mutex(WordCache())

  /// Tokens that end a turn or a text: the end-of-sequence token, tokens the files name, and well known spellings.
  public let endTokens: Set<TokenID>

  /// - Throws: `tokenizer_invalid` if the parts of the vocabulary do not fit together.
  public init(vocabulary: TokenizerVocabulary) throws(TextError) {
    try Self.check(vocabulary)
    self.vocabulary = vocabulary
    symbols = SymbolTable(vocabulary)
    preTokenizer = vocabulary.neverMergesAcrossWords ? PreTokenizer([.spaceRuns]) : vocabulary.preTokenizer
    var all: [(token: TokenID, bytes: [UInt8])] = []
    var always: [(token: TokenID, bytes: [UInt8])] = []
    var ids = PieceTable(expecting: vocabulary.pieces.count)
    var arena = ByteArena()
    var ends = vocabulary.endTokens
    for (index, piece) in vocabulary.pieces.enumerated() {
      let kind = vocabulary.kinds[index]
      let token = TokenID(index)
      ids.insert(piece, value: Int32(index))
      switch kind {
      case .control, .unknown:
        all.append((token, piece))
        if Self.knownEnds.contains(String(decoding: piece, as: UTF8.self)) { ends.insert(token) }
      case .userDefined:
        all.append((token, piece))
        always.append((token, piece))
      case .normal, .unused, .byte: break
      }
      let bytes = Self.bytes(of: piece, kind: kind, spelling: vocabulary.spelling)
      arena.append(bytes, 0..<bytes.count)
    }
    if let eos = vocabulary.eosToken { ends.insert(eos) }
    allSpecial = SpecialTokens(all, vocabulary.surroundings)
    alwaysSpecial = SpecialTokens(always, vocabulary.surroundings)
    idsByText = ids
    bytesOfTokens = arena
    endTokens = ends
  }

  private static let knownEnds: Set<String> = [
    "</s>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>",
    "<eos>", "<EOT>", "_<EOT>", "<|END_OF_TURN_TOKEN|>", "<｜end▁of▁sentence｜>", "<|return|>", "<|call|>", "<|eot|>",
  ]

  private static func check(_ vocabulary: TokenizerVocabulary) throws(TextError) {
    let size = vocabulary.pieces.count
    func invalid(_ message: String) -> TextError { TextError(code: "tokenizer_invalid", message: message) }
    if size == 0 { throw invalid("the vocabulary is empty; it must hold at least one token") }
    if size > 1 << 24 { throw invalid("the vocabulary has \(size) tokens; at most \(1 << 24) are supported") }
    if vocabulary.kinds.count != size {
      throw invalid("there are \(vocabulary.kinds.count) token types for \(size) tokens; the numbers must be equal")
    }
    if case .scores(let scores) = vocabulary.mergeOrder {
      if scores.count != size {
        throw invalid("there are \(scores.count) scores for \(size) tokens; the numbers must be equal")
      }
      if scores.contains(where: \.isNaN) { throw invalid("a token's score is not a number; every score must be one") }
    }
    let named = [vocabulary.bosToken, vocabulary.eosToken, vocabulary.unknownToken].compactMap { $0 }
    for token in named + vocabulary.endTokens + vocabulary.prefixTokens + vocabulary.suffixTokens
    where token.index >= size {
      throw invalid("special token \(token) lies outside the vocabulary of \(size) tokens")
    }
  }

  private static func bytes(
    of piece: [UInt8], kind: TokenizerVocabulary.Kind, spelling: TokenizerVocabulary.Spelling
  ) -> [UInt8] {
    switch kind {
    case .control, .unknown: return []
    case .userDefined: return spelling == .spaceMark ? replacingSpaceMarks(piece) : piece
    case .byte: return SymbolTable.byte(ofSpelling: piece).map { [$0] } ?? piece
    case .normal, .unused:
      return spelling == .byteLevel ? ByteAlphabet.decode(piece) ?? piece : replacingSpaceMarks(piece)
    }
  }

  /// "▁" to " ".
  private static func replacingSpaceMarks(_ piece: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(piece.count)
    var i = 0
    while i < piece.count {
      if piece[i] == 0xE2, i + 2 < piece.count, piece[i + 1] == 0x96, piece[i + 2] == 0x81 {
        result.append(0x20)
        i += 3
      } else {
        result.append(piece[i])
        i += 1
      }
    }
    return result
  }

  // MARK: facts

  public var vocabularySize: Int { vocabulary.pieces.count }
  public var bosToken: TokenID? { vocabulary.bosToken }
  public var eosToken: TokenID? { vocabulary.eosToken }
  /// Whether `encode(addSpecial: true)` puts the beginning-of-sequence token first.
  public var addBosByDefault: Bool {
    vocabulary.bosToken.map { vocabulary.prefixTokens.first == $0 } ?? false
  }

  /// Raw bytes the token appends to the text, the space mark resolved; empty for control tokens and for tokens outside
  /// the vocabulary.
  public func tokenBytes(_ token: TokenID) -> [UInt8] {
    token.index < vocabularySize ? bytesOfTokens[token.index] : []
  }

  /// The token for people and for lists of log probabilities: its text; for control tokens their spelling; for bytes
  /// that are no UTF-8 by themselves `bytes:\xNN...` as the OpenAI API writes them.
  public func tokenText(_ token: TokenID) -> String {
    guard token.index < vocabularySize else { return "" }
    if isSpecial(token) { return specialText(token) }
    let bytes = tokenBytes(token)
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    return "bytes:" + bytes.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// Spelling in the vocabulary, for control tokens.
  func specialText(_ token: TokenID) -> String { String(decoding: vocabulary.pieces[token.index], as: UTF8.self) }

  /// The token with exactly this spelling in the vocabulary, or whose text this is.
  public func tokenID(forText text: String) -> TokenID? {
    let bytes = Array(text.utf8)
    if let found = idsByText.value(bytes) { return TokenID(UInt32(bitPattern: found)) }
    let spelled = vocabulary.spelling == .spaceMark ? Self.markingSpaces(bytes, 0..<bytes.count) : bytes
    guard let found = symbols.pieces.value(spelled), Int(found) < vocabularySize else { return nil }
    return TokenID(UInt32(bitPattern: found))
  }

  /// Whether the token is a control or unknown token, that is one without text of its own.
  public func isSpecial(_ token: TokenID) -> Bool {
    guard token.index < vocabularySize else { return false }
    let kind = vocabulary.kinds[token.index]
    return kind == .control || kind == .unknown
  }

  // MARK: encoding

  /// Tokens of a text.
  /// - Parameters:
  ///   - text: the text to take apart.
  ///   - addSpecial: put the tokens around the text that the model expects (often the beginning-of-sequence token).
  ///   - parseSpecial: read spellings of control tokens in the text as these tokens. Turn it off for text of users that
  ///     is not part of a rendered template: it then cannot forge a turn.
  /// - Complexity: O(n log n) in the longest word, O(n) otherwise.
  public func encode(_ text: String, addSpecial: Bool = true, parseSpecial: Bool = true) -> [TokenID] {
    let bytes = Array(text.utf8)
    var tokens: [TokenID] = addSpecial ? vocabulary.prefixTokens : []
    let special = parseSpecial ? allSpecial : alwaysSpecial
    // Whoever finds the cache taken works with one of his own.
    let shared: Void? = cache.withLockIfAvailable { appendFragments(bytes, special, &$0, to: &tokens) }
    if shared == nil {
      var own = WordCache()
      appendFragments(bytes, special, &own, to: &tokens)
    }
    if addSpecial { tokens.append(contentsOf: vocabulary.suffixTokens) }
    return tokens
  }

  private func appendFragments(
    _ bytes: [UInt8], _ special: SpecialTokens, _ cache: inout WordCache, to tokens: inout [TokenID]
  ) {
    var start = 0
    if !special.isEmpty {
      var from = 0
      while let match = special.first(in: bytes, from: from) {
        append(bytes, start..<match.range.lowerBound, isFirst: start == 0, &cache, to: &tokens)
        tokens.append(match.token)
        start = match.range.upperBound
        from = start
      }
    }
    append(bytes, start..<bytes.count, isFirst: start == 0, &cache, to: &tokens)
  }

  /// Encodes text without special tokens.
  private func append(
    _ source: [UInt8], _ range: Range<Int>, isFirst: Bool, _ cache: inout WordCache, to tokens: inout [TokenID]
  ) {
    if range.isEmpty { return }
    var bytes = source
    var fragment = range
    if !vocabulary.normalizer.isEmpty {
      bytes = normalised(bytes, fragment)
      fragment = 0..<bytes.count
    }
    if vocabulary.spelling == .spaceMark {
      let wants = vocabulary.spacePrefix == .everyFragment || (vocabulary.spacePrefix == .first && isFirst)
      let prefixes = wants && !(vocabulary.prefixesOnlyUnspaced && startsWithSpace(bytes, fragment))
      bytes = Self.markingSpaces(bytes, fragment, prefix: prefixes)
      fragment = 0..<bytes.count
    } else if vocabulary.addsSpaceToWords, bytes[fragment.lowerBound] != 0x20 {
      bytes = [0x20] + bytes[fragment]
      fragment = 0..<bytes.count
    }
    var word: [Int32] = []
    var merged: [Int32] = []
    for piece in preTokenizer.split(bytes, fragment) {
      appendWord(bytes, piece, &word, &cache, to: &merged)
    }
    symbols.appendTokens(merged[...], to: &tokens)
  }

  /// A space or a space mark.
  private func startsWithSpace(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    bytes[range.lowerBound] == 0x20 || bytes[range].starts(with: [0xE2, 0x96, 0x81])
  }

  @inline(__always)
  private func appendWord(
    _ bytes: [UInt8], _ range: Range<Int>, _ word: inout [Int32], _ cache: inout WordCache, to result: inout [Int32]
  ) {
    let isCached = range.count <= WordCache.wordBytesMax
    let hash = isCached ? hashBytes(bytes, range) : 0
    if isCached, cache.append(bytes, range, hash: hash, to: &result) { return }
    word.removeAll(keepingCapacity: true)
    if vocabulary.prefersWholeWords, let whole = symbols.pieces.value(bytes, range),
      Int(whole) < vocabularySize
    {
      word.append(whole)
    } else {
      symbols.appendSymbols(bytes, range, to: &word)
      symbols.merges.apply(to: &word)
    }
    if isCached { cache.insert(bytes, range, hash: hash, symbols: word[...]) }
    result.append(contentsOf: word)
  }

  /// " " to "▁", with one more in front if `prefix`.
  static func markingSpaces(_ bytes: [UInt8], _ range: Range<Int>, prefix: Bool = false) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count + range.count / 2 + 3)
    if prefix { result.append(contentsOf: [0xE2, 0x96, 0x81]) }
    for i in range {
      if bytes[i] == 0x20 {
        result.append(contentsOf: [0xE2, 0x96, 0x81])
      } else {
        result.append(bytes[i])
      }
    }
    return result
  }

  // MARK: decoding

  /// Text of tokens. Bytes that are no UTF-8 become U+FFFD.
  /// - Parameters:
  ///   - tokens: numbers of this vocabulary.
  ///   - skipSpecial: leave out control tokens instead of spelling them.
  public func decode(_ tokens: [TokenID], skipSpecial: Bool = true) -> String {
    var bytes: [UInt8] = []
    var isFirst = true
    for token in tokens { appendBytes(of: token, skipSpecial: skipSpecial, isFirst: &isFirst, to: &bytes) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `isFirst` tells whether the space put before the text by encoding is still to be dropped.
  func appendBytes(of token: TokenID, skipSpecial: Bool, isFirst: inout Bool, to bytes: inout [UInt8]) {
    guard token.index < vocabularySize else { return }
    if isSpecial(token) {
      if !skipSpecial { bytes.append(contentsOf: vocabulary.pieces[token.index]) }
      return
    }
    let piece = bytesOfTokens[token.index]
    let drops = isFirst && vocabulary.dropsLeadingSpace && piece.first == 0x20
    isFirst = false
    bytes.append(contentsOf: drops ? piece[1...] : piece[...])
  }
}
