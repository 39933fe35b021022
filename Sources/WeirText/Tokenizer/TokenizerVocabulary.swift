// The plain facts a tokenizer is made of, whatever file they came from.
public import WeirBasics

/// Everything `Tokenizer` needs, as plain values: readers of GGUF and Hugging Face files fill it, tests write it out.
public struct TokenizerVocabulary: Sendable {
  /// What an entry of the vocabulary is; raw values as in `tokenizer.ggml.token_type`.
  public enum Kind: UInt8, Sendable {
    case normal = 1
    /// Stands for text that the vocabulary cannot spell.
    case unknown
    /// Steers the model, has no text of its own (`<s>`, `<|im_end|>`).
    case control
    /// Always recognised as a whole in text (`<tool_call>`, runs of spaces).
    case userDefined
    case unused
    /// One raw byte, spelled `<0x0A>`.
    case byte
  }

  /// How pieces spell bytes.
  public enum Spelling: Sendable {
    /// Each byte as one printable character of GPT-2's alphabet ("Ġ" is a space).
    case byteLevel
    /// Plain text in which "▁" (U+2581) is a space.
    case spaceMark
  }

  /// Which neighbours merge first.
  public enum MergeOrder: Sendable {
    /// The pair whose joined piece has the highest score (SentencePiece).
    case scores([Float])
    /// The pair that comes first in this list; both sides spelled as in `pieces`.
    case list([(left: [UInt8], right: [UInt8])])
  }

  /// When a space is put before the text (spelling `spaceMark`).
  public enum SpacePrefix: Sendable {
    case never
    /// Once, before the whole text.
    case first
    /// Before the text and again after every special token (llama.cpp, early SentencePiece wrappers).
    case everyFragment
  }

  /// A change made to the text before it is split.
  public enum NormalizerStep: Sendable, Equatable {
    /// Canonical composition.
    case nfc
    case lowercase
    case prepend(String)
    case replace(String, with: String)
  }

  /// How a special token treats the text around it.
  public struct Surroundings: Sendable {
    /// Swallows white space before or after it.
    public var takesSpaceBefore = false
    public var takesSpaceAfter = false
    /// Is only recognised when no letter or digit touches it.
    public var isSingleWord = false
    public init() {}
  }

  /// Spelling of every token, in the bytes of the file; index = token.
  public var pieces: [[UInt8]]
  /// As many as `pieces`.
  public var kinds: [Kind]
  public var spelling: Spelling
  public var mergeOrder: MergeOrder
  public var preTokenizer: PreTokenizer = .none
  public var normalizer: [NormalizerStep] = []
  public var spacePrefix: SpacePrefix = .never
  /// The prefix is left out before text that starts with a space.
  public var prefixesOnlyUnspaced = false
  /// Decoding drops one leading space (the one the prefix put there).
  public var dropsLeadingSpace = false
  /// A word that is a piece as a whole is taken as it is, without merging.
  public var prefersWholeWords = false
  /// With `byteLevel`: a space is put before the text unless it starts with white space.
  public var addsSpaceToWords = false
  public var surroundings: [TokenID: Surroundings] = [:]
  public var bosToken: TokenID?
  public var eosToken: TokenID?
  public var unknownToken: TokenID?
  /// Tokens that end a turn, besides those known by name.
  public var endTokens: Set<TokenID> = []
  /// Put before and after the text by `encode(addSpecial: true)`.
  public var prefixTokens: [TokenID] = []
  public var suffixTokens: [TokenID] = []

  public init(pieces: [[UInt8]], kinds: [Kind], spelling: Spelling, mergeOrder: MergeOrder) {
    self.pieces = pieces
    self.kinds = kinds
    self.spelling = spelling
    self.mergeOrder = mergeOrder
  }

  /// No piece holds a space mark after another character, so that no merge spans the border before a space mark: the
  /// words can be merged one by one, and cached, with the same result.
  var neverMergesAcrossWords: Bool {
    guard spelling == .spaceMark, preTokenizer == .none else { return false }
    if case .list(let merges) = mergeOrder, merges.contains(where: { Self.crossesWords($0.left + $0.right) }) {
      return false
    }
    return !zip(pieces, kinds).contains { ($1 == .normal || $1 == .userDefined) && Self.crossesWords($0) }
  }

  private static func crossesWords(_ piece: [UInt8]) -> Bool {
    var lastWasMark = true
    var i = 0
    while i < piece.count {
      let isMark = i + 2 < piece.count && piece[i] == 0xE2 && piece[i + 1] == 0x96 && piece[i + 2] == 0x81
      if isMark, !lastWasMark { return true }
      lastWasMark = isMark
      i += isMark ? 3 : 1
    }
    return false
  }

  /// A vocabulary of 256 byte tokens followed by `special` control tokens, the last of which ends a text. For tests
  /// and for models over raw bytes.
  public static func bytes(special: [String] = ["<s>", "</s>"]) -> TokenizerVocabulary {
    let alphabet = ByteAlphabet.spellings
    var vocabulary = TokenizerVocabulary(
      pieces: (0..<256).map { alphabet[$0] } + special.map { Array($0.utf8) },
      kinds: [Kind](repeating: .normal, count: 256) + special.map { _ in .control },
      spelling: .byteLevel, mergeOrder: .list([]))
    if !special.isEmpty { vocabulary.eosToken = TokenID(255 + special.count) }
    return vocabulary
  }
}

/// GPT-2's spelling of bytes as printable characters.
enum ByteAlphabet {
  /// UTF-8 spelling of each byte.
  static let spellings: [[UInt8]] = scalars.map { Array(String(Character($0)).utf8) }

  /// Byte of each scalar value below 512; -1 = not in the alphabet.
  static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 512)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = Int16(byte) }
    return table
  }()

  private static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 256
    return (0..<256).map { (byte: UInt32) in
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
      if isPrintable { return Unicode.Scalar(UInt8(byte)) }
      next += 1
      return Unicode.Scalar(next - 1) ?? " "
    }
  }()

  /// The bytes a spelling stands for; nil if it holds a character outside the alphabet.
  static func decode(_ spelling: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(spelling.count)
    var i = 0
    while i < spelling.count {
      let (value, length) = decodeScalar(spelling, at: i, end: spelling.count)
      guard value < 512, bytes[Int(value)] >= 0 else { return nil }
      result.append(UInt8(bytes[Int(value)]))
      i += length
    }
    return result
  }
}
