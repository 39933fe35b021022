// A vocabulary of bytes: the simplest tokenizer there is.
import Testing
import WeirBasics
import WeirText

@Suite struct TokenizerBasicsTests {
  @Test func bytesRoundTrip() throws {
    let tokenizer = try Tokenizer(vocabulary: .bytes())
    let text = "Weir & Ωmega 🦙\n"
    let tokens = tokenizer.encode(text)
    #expect(tokens.map(\.index) == text.utf8.map { Int($0) })
    #expect(tokenizer.decode(tokens) == text)
  }

  @Test func readsControlTokensOnlyWhenAsked() throws {
    let tokenizer = try Tokenizer(vocabulary: .bytes())
    #expect(tokenizer.encode("a</s>b") == [97, 257, 98])
    #expect(tokenizer.encode("a</s>b", parseSpecial: false).count == 6)
    #expect(tokenizer.decode([97, 257, 98]) == "ab")
    #expect(tokenizer.decode([97, 257, 98], skipSpecial: false) == "a</s>b")
    #expect(tokenizer.isSpecial(257) && !tokenizer.isSpecial(97))
    #expect(tokenizer.endTokens == [257])
  }

  @Test func showsBytesThatAreNoTextOfTheirOwn() throws {
    let tokenizer = try Tokenizer(vocabulary: .bytes())
    #expect(tokenizer.tokenText(0xE2) == "bytes:\\xe2")
    #expect(tokenizer.tokenText(257) == "</s>")
    #expect(tokenizer.tokenBytes(0xE2) == [0xE2])
    #expect(tokenizer.tokenBytes(257) == [])
    #expect(tokenizer.tokenID(forText: "</s>") == 257)
    #expect(tokenizer.tokenID(forText: " ") == 32)
  }

  @Test func refusesAVocabularyThatDoesNotFitTogether() {
    var vocabulary = TokenizerVocabulary.bytes()
    vocabulary.kinds.removeLast()
    #expect(throws: TextError.self) { try Tokenizer(vocabulary: vocabulary) }
    vocabulary = .bytes()
    vocabulary.bosToken = 9999
    #expect(throws: TextError.self) { try Tokenizer(vocabulary: vocabulary) }
  }
}
