// The splitting rules spelled as regular expressions, for files that other tools read.

extension SplitRule {
  /// The published regular expression of the rule (Oniguruma syntax); nil for rules that tokenizer.json has sections
  /// of its own for, which no GGUF file uses.
  var pattern: String? {
    let tail = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    switch self {
    case .gpt2: return #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    case .llama3(let digits):
      let numbers = digits == 1 ? #"\p{N}"# : #"\p{N}{1,\#(digits)}"#
      return #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + numbers + tail
    case .gpt4o:
      return Self.byCase(marks: #"\p{M}"#, ending: "(?i:'s|'t|'re|'ve|'m|'ll|'d)?", numbers: #"\p{N}{1,3}"#)
    case .tekken: return Self.byCase(marks: "", ending: "", numbers: #"\p{N}"#)
    case .deepseek3:
      return ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
        + #"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    case .numbers(let limit): return limit == 0 ? #"\p{N}+"# : limit == 1 ? #"\p{N}"# : #"\p{N}{1,\#(limit)}"#
    case .threeDigits: return "[0-9][0-9][0-9]"
    case .newline: return #"[\r\n]"#
    case .spacedLetters: return #"\s?\p{L}+"#
    case .spacedPunctuation: return #"\s?\p{P}+"#
    case .spacedCasedLetters: return #"\s?[A-Za-z"# + CasedLetters.classRanges + "]+"
    case .spacedWideASCIISymbols: return "\\s?[!-/:-~！-／：-～‘-‟\u{3000}-。]+"
    case .trailingSpace: return #"\s+$"#
    case .eastAsian: return "[一-龥ࠀ-一가-\u{D7FF}]+"
    case .hanKana: return "[一-龥\u{3040}-ゟ゠-ヿ]+"
    case .punctuation(let backQuote): return #"[\p{P}\$\+<=>\^~\|"# + (backQuote ? "`]+" : "]+")
    case .bloom: return " ?[^(\\s|.,!?…。，、।۔،)]+"
    case .punctuationMarks, .wordsOrSymbols, .unspaced, .spaceMarked, .spaceRuns: return nil
    }
  }

  /// Words that begin at a change of case.
  private static func byCase(marks: String, ending: String, numbers: String) -> String {
    let lead = #"[^\r\n\p{L}\p{N}]?"#
    let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}"# + marks + "]"
    let lower = #"[\p{Ll}\p{Lm}\p{Lo}"# + marks + "]"
    return lead + upper + "*" + lower + "+" + ending + "|" + lead + upper + "+" + lower + "*" + ending + "|" + numbers
      + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }
}
