// Splitting text into words before byte-pair merging: named patterns, scanned by hand.

/// One splitting rule. Each stands for a published regular expression (in the comment); what a rule does not match
/// stays together as a piece of its own between the matches.
enum SplitRule: Hashable, Sendable {
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  case gpt2
  /// `'(s|t|re|ve|m|ll|d)` in any case, then
  /// `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  case llama3(digits: Int)
  /// Letters by case, marks count as letters:
  /// `[^\r\n\p{L}\p{N}]?[U]*[L]+(?i:'s..)?|[^\r\n\p{L}\p{N}]?[U]+[L]*(?i:'s..)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  /// with U = `\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}` and L = `\p{Ll}\p{Lm}\p{Lo}\p{M}`
  case gpt4o
  /// As `gpt4o` with letters only in U and L, no contractions and single digits.
  case tekken
  /// `[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
  case deepseek3
  /// `\p{N}{1,limit}`; 0 = no limit
  case numbers(limit: Int)
  /// `[0-9][0-9][0-9]`
  case threeDigits
  /// `[\r\n]`
  case newline
  /// `\s?\p{L}+`
  case spacedLetters
  /// `\s?\p{P}+`
  case spacedPunctuation
  /// `\s?` and letters of scripts that have case (DeepSeek's list)
  case spacedCasedLetters
  /// `\s?[!-/:-~！-／：-～‘-‟　-。]+`
  case spacedWideASCIISymbols
  /// `\s+$`
  case trailingSpace
  /// `[一-龥ࠀ-一가-퟿]+`
  case eastAsian
  /// `[一-龥぀-ゟ゠-ヿ]+`
  case hanKana
  /// `[\p{P}\$\+<=>\^~\|`]+`, the back quote being optional
  case punctuation(backQuote: Bool)
  /// `\p{P}` alone or in runs, also every ASCII symbol (Hugging Face `Punctuation`)
  case punctuationMarks(contiguous: Bool)
  /// ` ?[^(\s|.,!?…。，、।۔،)]+`
  case bloom
  /// `\w+|[^\w\s]+`; white space is dropped (Hugging Face `Whitespace`)
  case wordsOrSymbols
  /// `\S+`; white space is dropped (Hugging Face `WhitespaceSplit`)
  case unspaced
  /// `▁?[^▁]+|▁`: every space mark begins a word (Hugging Face `Metaspace`)
  case spaceMarked
  /// `▁*[^▁]*`: a run of space marks and the word after it
  case spaceRuns

  /// Whether what lies between matches is thrown away.
  var dropsRest: Bool {
    switch self {
    case .wordsOrSymbols, .unspaced: true
    default: false
    }
  }
}

/// The splitting rules of one tokenizer, applied one after the other: each rule splits the pieces of the one before.
public struct PreTokenizer: Hashable, Sendable {
  var rules: [SplitRule]

  init(_ rules: [SplitRule]) { self.rules = rules }

  /// No splitting at all.
  public static let none = PreTokenizer([])

  /// The splitter of a GGUF `tokenizer.ggml.pre` name.
  /// - Throws: `tokenizer_unsupported` for a name that is not known.
  public init(ggufName name: String) throws(TextError) {
    guard let rules = Self.named[name] else {
      throw TextError(
        code: "tokenizer_unsupported",
        message: "tokenizer.ggml.pre is \"\(name)\"; known are \(Self.named.keys.sorted().joined(separator: ", "))")
    }
    self.rules = rules
  }

  private static let digitsThenGPT2: [SplitRule] = [.numbers(limit: 1), .gpt2]
  private static let llama3: [SplitRule] = [.llama3(digits: 3)]
  private static let qwen2: [SplitRule] = [.llama3(digits: 1)]
  private static let deepseekLLM: [SplitRule] = [
    .newline, .spacedCasedLetters, .spacedWideASCIISymbols, .trailingSpace, .eastAsian, .numbers(limit: 0),
  ]
  private static let deepseekCoder: [SplitRule] = [
    .newline, .spacedLetters, .spacedPunctuation, .eastAsian, .numbers(limit: 1),
  ]

  private static let named: [String: [SplitRule]] = [
    "default": [.punctuation(backQuote: false), .gpt2, .numbers(limit: 0), .threeDigits],
    "gpt-2": [.gpt2], "phi": [.gpt2], "phi-2": [.gpt2], "mpt": [.gpt2], "olmo": [.gpt2], "jais": [.gpt2],
    "jina-es": [.gpt2], "jina-de": [.gpt2], "jina-v2-es": [.gpt2], "jina-v2-de": [.gpt2], "jina-v1-en": [.gpt2],
    "roberta-bpe": [.gpt2], "gigachat": [.gpt2], "a.x-4.0": [.gpt2], "exaone4": [.gpt2], "mellum": [.gpt2],
    "llama3": llama3, "llama-v3": llama3, "llama-bpe": llama3, "falcon3": llama3, "pixtral": llama3,
    "smaug-bpe": llama3, "dbrx": llama3, "chatglm-bpe": llama3, "glm4": llama3,
    "qwen2": qwen2, "deepseek-r1-qwen": qwen2, "stablelm2": qwen2, "hunyuan": qwen2, "megrez": qwen2,
    "starcoder": digitsThenGPT2, "refact": digitsThenGPT2, "command-r": digitsThenGPT2, "smollm": digitsThenGPT2,
    "codeshell": digitsThenGPT2, "exaone": digitsThenGPT2, "minerva-7b": digitsThenGPT2,
    "falcon": [.punctuation(backQuote: true), .gpt2, .threeDigits],
    "deepseek-llm": deepseekLLM,
    "deepseek-coder": deepseekCoder,
    "deepseek-v3": [.numbers(limit: 3), .hanKana, .deepseek3],
    "gpt-4o": [.gpt4o], "llama4": [.gpt4o], "o200k": [.gpt4o],
    "tekken": [.tekken],
    "bloom": [.bloom], "poro-chat": [.bloom], "gpt3-finnish": [.bloom],
  ]

  /// Names accepted by `init(ggufName:)`.
  public static var ggufNames: [String] { named.keys.sorted() }

  /// The rule of a `Split` section in tokenizer.json, found by the exact text of its pattern; nil for an unknown one.
  static func rule(pattern: String) -> SplitRule? { patterns[pattern] }

  private static let patterns: [String: SplitRule] = {
    let tail = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    let words = #"[^\r\n\p{L}\p{N}]?\p{L}+"#
    let loose = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
    let spelled = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|"
    let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
    let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
    let lead = #"[^\r\n\p{L}\p{N}]?"#
    let slashTail = #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    let tekkenUpper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}]"#
    let tekkenLower = #"[\p{Ll}\p{Lm}\p{Lo}]"#
    let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#
    var table: [String: SplitRule] = [gpt2: .gpt2, gpt2 + #"|\s+"#: .gpt2]
    for head in [loose, spelled] {
      table[head + words + #"|\p{N}{1,3}"# + tail] = .llama3(digits: 3)
      table[head + words + #"|\p{N}"# + tail] = .llama3(digits: 1)
    }
    table[
      lead + upper + "*" + lower + "+" + contractions + "|" + lead + upper + "+" + lower + "*" + contractions
        + #"|\p{N}{1,3}"# + slashTail] = .gpt4o
    table[
      lead + tekkenUpper + "*" + tekkenLower + "+|" + lead + tekkenUpper + "+" + tekkenLower + #"*|\p{N}"# + slashTail] =
      .tekken
    table[#"\p{N}{1,3}"#] = .numbers(limit: 3)
    table[#"\p{N}+"#] = .numbers(limit: 0)
    table[#"\p{N}"#] = .numbers(limit: 1)
    table["[0-9][0-9][0-9]"] = .threeDigits
    table[#"[\r\n]"#] = .newline
    table[#"\s?\p{L}+"#] = .spacedLetters
    table[#"\s?\p{P}+"#] = .spacedPunctuation
    table["[一-龥ࠀ-一가-퟿]+"] = .eastAsian
    table["[一-龥\u{3040}-ゟ゠-ヿ]+"] = .hanKana
    table[#"\s+$"#] = .trailingSpace
    table[" ?[^(\\s|[.,!?…。，、।۔،])]+"] = .bloom
    table[" ?[^(\\s|.,!?…。，、।۔،)]+"] = .bloom
    table[
      ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
        + #"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#] = .deepseek3
    return table
  }()

  /// The words of a text, in order; together they are the text, unless the rules drop white space.
  public func words(of text: String) -> [String] {
    let bytes = Array(text.utf8)
    return split(bytes, 0..<bytes.count).map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  /// Splits `bytes[range]` (valid UTF-8) into words and returns their byte ranges, in order.
  func split(_ bytes: [UInt8], _ range: Range<Int>) -> [Range<Int>] {
    if rules.isEmpty { return range.isEmpty ? [] : [range] }
    let text = ScalarText(bytes, range)
    var pieces = text.count == 0 ? [] : [0..<text.count]
    for rule in rules { pieces = rule.split(pieces, of: text) }
    return pieces.map { Int(text.offsets[$0.lowerBound])..<Int(text.offsets[$0.upperBound]) }
  }
}

extension SplitRule {
  /// Splits every piece (ranges of scalars); a rule sees a piece as if it were the whole text.
  func split(_ pieces: [Range<Int>], of text: ScalarText) -> [Range<Int>] {
    var result: [Range<Int>] = []
    result.reserveCapacity(max(pieces.count, text.count / 4))
    for piece in pieces {
      let scanner = WordScanner(text: text, end: piece.upperBound)
      var rest = piece.lowerBound
      var i = piece.lowerBound
      while i < piece.upperBound {
        let end = scanner.end(of: self, at: i)
        if end == i {
          i += 1
          continue
        }
        if rest < i, !dropsRest { result.append(rest..<i) }
        result.append(i..<end)
        i = end
        rest = end
      }
      if rest < piece.upperBound, !dropsRest { result.append(rest..<piece.upperBound) }
    }
    return result
  }
}
