// The hand-written scanners against the published patterns (Tests/Golden/text/make_tokenizers.py, PyPI `regex`).
import Foundation
import Testing
import WeirBasics
import WeirTestSupport
import WeirText

@Suite struct PreTokenizerTests {
  static func hash(_ lengths: [Int]) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for length in lengths { hash = (hash ^ UInt64(length)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  static func lengths(_ splitter: PreTokenizer, _ text: String) -> [Int] {
    splitter.words(of: text).map(\.utf8.count)
  }

  @Test func scannersCutAsThePublishedPatternsDo() throws {
    let golden = try ChatTemplateTests.golden("splits.json")
    let own = try #require(golden["own"]?.array).compactMap(\.string)
    let random = try #require(golden["random"]?.array).compactMap(\.string)
    let families = try #require(golden["own_lengths"]?.object)
    #expect(families.count >= 12 && random.count == 2000)
    for (name, rows) in families {
      let splitter = try PreTokenizer(ggufName: name)
      for (text, row) in zip(own, rows.array ?? []) {
        let expected = (row.array ?? []).compactMap(\.int)
        #expect(Self.lengths(splitter, text) == expected, "\(name): \(text.debugDescription)")
      }
      let hashes = Array(try #require(golden["random_hashes"]?[name]?.string).utf8)
      for (index, text) in random.enumerated() {
        let wanted = String(decoding: hashes[(4 * index)..<(4 * index + 4)], as: UTF8.self)
        let words = splitter.words(of: text)
        #expect(
          Self.hash(words.map(\.utf8.count)).prefix(4) == wanted, "\(name): \(text.debugDescription) -> \(words)")
      }
    }
  }

  @Test(.enabled(if: SharedData.exists("tokenizers/ggml-vocab")))
  func scannersCutTheReferenceStringsAsThePublishedPatternsDo() throws {
    let hashes = try #require(try ChatTemplateTests.golden("splits.json")["shared_hashes"]?.object)
    let texts = try ReferenceVocabularyTests.pairs("llama-bpe").map(\.text)
    for (name, rows) in hashes {
      let splitter = try PreTokenizer(ggufName: name)
      #expect(rows.array?.count == texts.count)
      for (text, row) in zip(texts, rows.array ?? []) {
        #expect(Self.hash(Self.lengths(splitter, text)) == row.string, "\(name): \(text.debugDescription)")
      }
    }
  }

  @Test(arguments: 0..<50)
  func loseNothing(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var text = ""
    for _ in 0..<200 {
      let limit: UInt32 = Bool.random(using: &generator) ? 0x80 : 0x1_1000
      if let scalar = Unicode.Scalar(UInt32.random(in: 0..<limit, using: &generator)) {
        text.unicodeScalars.append(scalar)
      }
    }
    for name in PreTokenizer.ggufNames {
      #expect(try PreTokenizer(ggufName: name).words(of: text).joined() == text, "seed \(seed), \(name)")
    }
  }

  @Test func namesWhatItDoesNotKnow() {
    let error = #expect(throws: TextError.self) { try PreTokenizer(ggufName: "martian") }
    #expect(error?.message.contains("martian") == true && error?.message.contains("qwen2") == true)
  }
}
