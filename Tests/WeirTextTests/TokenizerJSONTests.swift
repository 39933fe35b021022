// tokenizer.json against the PyPI module `tokenizers` (Tests/Golden/text/make_tokenizers.py), and streaming.
import Foundation
import Testing
import WeirBasics
import WeirTestSupport
import WeirText

@Suite struct TokenizerJSONTests {
  static func tiny(_ name: String) throws -> Tokenizer {
    try Tokenizer(vocabulary: TokenizerVocabulary(tokenizerJSON: try ChatTemplateTests.golden(name + ".json")))
  }

  @Test(arguments: ["tiny_bytelevel", "tiny_metaspace"])
  func agreesOnSmallTokenizersOfOurOwn(_ name: String) throws {
    let tokenizer = try Self.tiny(name)
    let values = try ChatTemplateTests.golden("tiny_values.json")
    let texts = try #require(values["texts"]?.array).compactMap(\.string)
    let ids = try #require(values[name]?["ids"]?.array)
    let decoded = try #require(values[name]?["decoded"]?.array)
    #expect(texts.count > 150)
    for (index, text) in texts.enumerated() {
      let expected = (ids[index].array ?? []).compactMap(\.int).map { TokenID($0) }
      #expect(tokenizer.encode(text) == expected, "\(name): \(text.debugDescription)")
      #expect(tokenizer.decode(expected) == decoded[index].string, "\(name): \(text.debugDescription)")
    }
  }

  @Test(.enabled(if: SharedData.exists("tokenizers/smollm2")))
  func agreesOnSmolLM2() throws {
    let json = try JSONValue.parse(utf8: ReferenceVocabularyTests.bytes("tokenizers/smollm2/tokenizer.json"))
    let tokenizer = try Tokenizer(vocabulary: TokenizerVocabulary(tokenizerJSON: json))
    let values = try ChatTemplateTests.golden("smollm2.json")
    let texts = try #require(values["texts"]?.array).compactMap(\.string)
    #expect(texts.count > 100)
    for (text, ids) in zip(texts, values["ids"]?.array ?? []) {
      let expected = (ids.array ?? []).compactMap(\.int).map { TokenID($0) }
      #expect(tokenizer.encode(text) == expected, "\(text.debugDescription)")
    }
    #expect(tokenizer.endTokens.contains(2))
  }

  /// Deltas joined equal the whole decoding, and a replacement character only shows where the bytes are wrong.
  @Test(arguments: 0..<40)
  func streamedTextEqualsDecodedText(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    for name in ["tiny_bytelevel", "tiny_metaspace"] {
      let tokenizer = try Self.tiny(name)
      for skipSpecial in [true, false] {
        let tokens = (0..<60).map { _ in
          TokenID(Int.random(in: 0..<(tokenizer.vocabularySize + 2), using: &generator))
        }
        var stream = StreamingDetokenizer(tokenizer: tokenizer, skipSpecial: skipSpecial)
        let joined = tokens.map { stream.append($0) }.joined() + stream.finish()
        #expect(joined == tokenizer.decode(tokens, skipSpecial: skipSpecial), "seed \(seed)")
      }
      let text = "Grüße 🦙🏽‍♂️ weir \u{301}東京 «…» 12"
      var stream = StreamingDetokenizer(tokenizer: tokenizer)
      var deltas = tokenizer.encode(text, addSpecial: false).map { stream.append($0) }
      deltas.append(stream.finish())
      #expect(deltas.joined() == text)
      #expect(deltas.allSatisfy { !$0.unicodeScalars.contains("\u{FFFD}") })
    }
  }

  @Test func keepsTheSpaceOfATextThatContinues() throws {
    let tokenizer = try Self.tiny("tiny_metaspace")
    let tokens = tokenizer.encode("water", addSpecial: false)
    var start = StreamingDetokenizer(tokenizer: tokenizer)
    var middle = StreamingDetokenizer(tokenizer: tokenizer, continues: true)
    #expect(tokens.map { start.append($0) }.joined() + start.finish() == "water")
    #expect(tokens.map { middle.append($0) }.joined() + middle.finish() == " water")
  }

  @Test func showsBrokenBytesAtTheEndAsReplacement() throws {
    let tokenizer = try Tokenizer(vocabulary: .bytes())
    var stream = StreamingDetokenizer(tokenizer: tokenizer)
    #expect(stream.append(0xF0) == "" && stream.append(0x9F) == "" && stream.append(0xA6) == "")
    #expect(stream.finish() == "\u{FFFD}")
    #expect(stream.append(0xE0) == "" && stream.append(0x80) == "\u{FFFD}\u{FFFD}")
  }

  @Test func namesTheSectionItDoesNotKnow() throws {
    let model: JSONValue = ["type": "BPE", "vocab": ["a": 0], "merges": []]
    let strange: [(JSONValue, String)] = [
      (["model": model, "pre_tokenizer": ["type": "Runes"]], "Runes"),
      (["model": model, "normalizer": ["type": "Bertish"]], "Bertish"),
      (["model": ["type": "Unigram", "vocab": ["a": 0], "merges": []]], "Unigram"),
      (
        ["model": model, "pre_tokenizer": ["type": "Split", "pattern": ["Regex": "[xyz]+"], "behavior": "Isolated"]],
        "[xyz]+"
      ),
      (
        ["model": ["type": "BPE", "vocab": ["a": -1], "merges": []], "pre_tokenizer": ["type": "ByteLevel"]],
        "whole number"
      ),
      (
        ["model": ["type": "BPE", "vocab": ["a": 900_000_000], "merges": []], "pre_tokenizer": ["type": "ByteLevel"]],
        "proportion"
      ),
    ]
    for (json, word) in strange {
      let error = #expect(throws: TextError.self) { try TokenizerVocabulary(tokenizerJSON: json) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }

  /// A piece that spans two words keeps the text in one: cutting at spaces would lose it.
  @Test func mergesAcrossSpacesWhenAPieceDoes() throws {
    func tokenizer(_ last: String) throws -> Tokenizer {
      let pieces = ["<unk>", "a", "b", "\u{2581}", "\u{2581}b", last].map { Array($0.utf8) }
      var vocabulary = TokenizerVocabulary(
        pieces: pieces, kinds: [.unknown] + Array(repeating: .normal, count: 5), spelling: .spaceMark,
        mergeOrder: .scores([0, -9, -9, -9, -1, -2]))
      vocabulary.unknownToken = 0
      return try Tokenizer(vocabulary: vocabulary)
    }
    #expect(try tokenizer("a\u{2581}b").encode("a b") == [5])
    #expect(try tokenizer("\u{2581}a").encode("a b a") == [1, 4, 5])
  }

  /// Both ways of merging, over long words: pairs of equal rank, runs of one letter.
  @Test func mergesLongWordsAsShortOnes() throws {
    let tokenizer = try Self.tiny("tiny_metaspace")
    let sentence = "the weir the water the river and and of of in in "
    let once = tokenizer.encode(String(sentence.dropLast()), addSpecial: false)
    let many = tokenizer.encode(String(repeating: sentence, count: 50), addSpecial: false)
    #expect(many.starts(with: once))
    #expect(tokenizer.decode(many) == String(repeating: sentence, count: 50))
  }
}
