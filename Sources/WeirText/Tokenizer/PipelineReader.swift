// The pipeline sections of tokenizer.json: normalizer, pre_tokenizer, decoder.
import WeirBasics

/// Collects what the sections of a tokenizer.json say about the text before byte-pair encoding.
struct PipelineReader {
  var normalizer: [TokenizerVocabulary.NormalizerStep] = []
  var rules: [SplitRule] = []
  var isByteLevel = false
  var marksSpaces = false
  var spacePrefix: TokenizerVocabulary.SpacePrefix = .never
  var prefixesOnlyUnspaced = false
  var dropsLeadingSpace = false
  var addsSpaceToWords = false

  private static let spaceMark = "\u{2581}"

  mutating func readNormalizer(_ json: JSONValue?) throws(TextError) {
    guard let json, !json.isNull else { return }
    let type = json["type"]?.string ?? ""
    switch type {
    case "Sequence":
      for part in json["normalizers"]?.array ?? [] { try readNormalizer(part) }
    case "NFC": normalizer.append(.nfc)
    case "Lowercase": normalizer.append(.lowercase)
    case "Prepend":
      let prefix = json["prepend"]?.string ?? ""
      if prefix == Self.spaceMark { spacePrefix = .everyFragment } else { normalizer.append(.prepend(prefix)) }
    case "Replace":
      guard let old = json["pattern"]?["String"]?.string, let new = json["content"]?.string else {
        throw TokenizerVocabulary.unsupported("normalizer", "Replace by Regex", "Replace by String")
      }
      if old == " ", new == Self.spaceMark { marksSpaces = true } else { normalizer.append(.replace(old, with: new)) }
    default:
      throw TokenizerVocabulary.unsupported("normalizer", type, "Sequence, NFC, Lowercase, Prepend, Replace")
    }
  }

  mutating func readPreTokenizer(_ json: JSONValue?) throws(TextError) {
    guard let json, !json.isNull else { return }
    let type = json["type"]?.string ?? ""
    switch type {
    case "Sequence":
      for part in json["pretokenizers"]?.array ?? [] { try readPreTokenizer(part) }
    case "ByteLevel":
      isByteLevel = true
      if json["add_prefix_space"]?.bool ?? true { addsSpaceToWords = true }
      if json["use_regex"]?.bool ?? true { rules.append(.gpt2) }
    case "Digits":
      rules.append(.numbers(limit: json["individual_digits"]?.bool ?? false ? 1 : 0))
    case "Split": try readSplit(json)
    case "Punctuation": rules.append(.punctuationMarks(contiguous: json["behavior"]?.string == "Contiguous"))
    case "Whitespace": rules.append(.wordsOrSymbols)
    case "WhitespaceSplit": rules.append(.unspaced)
    case "Metaspace": readMetaspace(json)
    default:
      throw TokenizerVocabulary.unsupported(
        "pre_tokenizer", type,
        "Sequence, ByteLevel, Digits, Split, Punctuation, Whitespace, WhitespaceSplit, Metaspace")
    }
  }

  private mutating func readSplit(_ json: JSONValue) throws(TextError) {
    let pattern = json["pattern"]?["Regex"]?.string ?? json["pattern"]?["String"]?.string ?? ""
    if pattern == " ", json["behavior"]?.string == "MergedWithPrevious", marksSpaces {
      // The spaces are marks by now, so this splits nothing (Gemma).
      return
    }
    guard let rule = PreTokenizer.rule(pattern: pattern) else {
      throw TokenizerVocabulary.unsupported("Split pattern", pattern, "the patterns of the common model families")
    }
    let behaviour = json["behavior"]?.string ?? "Isolated"
    let isInverted = json["invert"]?.bool ?? false
    guard behaviour == "Isolated" || (behaviour == "Removed" && isInverted) else {
      throw TokenizerVocabulary.unsupported("Split behavior", behaviour, "Isolated")
    }
    rules.append(rule)
  }

  private mutating func readMetaspace(_ json: JSONValue) {
    marksSpaces = true
    prefixesOnlyUnspaced = true
    switch json["prepend_scheme"]?.string {
    case "never": spacePrefix = .never
    case "first": spacePrefix = .first
    case "always": spacePrefix = .everyFragment
    default: spacePrefix = json["add_prefix_space"]?.bool ?? true ? .everyFragment : .never
    }
    if json["split"]?.bool ?? true { rules.append(.spaceMarked) }
    dropsLeadingSpace = spacePrefix != .never
  }

  /// Only what changes the first token: everything else follows from the spelling of the pieces.
  mutating func readDecoder(_ json: JSONValue?) {
    guard let json else { return }
    switch json["type"]?.string {
    case "Sequence": for part in json["decoders"]?.array ?? [] { readDecoder(part) }
    case "Strip": dropsLeadingSpace = json["content"]?.string == " " && (json["start"]?.int ?? 0) > 0
    case "ByteLevel": isByteLevel = true
    case "Metaspace": dropsLeadingSpace = spacePrefix != .never
    default: break
    }
  }
}
