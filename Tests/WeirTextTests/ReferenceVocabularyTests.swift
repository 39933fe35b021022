// Every `.inp/.out` pair of the shared vocabularies: strings and the tokens the reference implementation gives them.
import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport
import WeirText

@Suite struct ReferenceVocabularyTests {
  static func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: try #require(SharedData.url(path))))
  }

  static func gguf(_ name: String) throws -> Tokenizer {
    let url = try #require(SharedData.url("tokenizers/ggml-vocab/ggml-vocab-\(name).gguf"))
    return try Tokenizer(source: .open(path: url.path))
  }

  static func qwen() throws -> Tokenizer {
    let vocab = try JSONValue.parse(utf8: bytes("tokenizers/qwen2.5/vocab.json"))
    let config = try JSONValue.parse(utf8: bytes("tokenizers/qwen2.5/tokenizer_config.json"))
    let merges = try bytes("tokenizers/qwen2.5/merges.txt")
    return try Tokenizer(vocabulary: TokenizerVocabulary(vocab: vocab, merges: merges, config: config))
  }

  static func pairs(_ name: String) throws -> [(text: String, tokens: [TokenID])] {
    let base = "tokenizers/ggml-vocab/ggml-vocab-\(name).gguf"
    let input = String(decoding: try bytes(base + ".inp"), as: UTF8.self)
    let output = String(decoding: try bytes(base + ".out"), as: UTF8.self)
    let texts = input.components(separatedBy: "\n__ggml_vocab_test__\n").dropLast()
    let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
    try #require(lines.count >= texts.count)
    return zip(texts, lines).map { ($0, $1.split(separator: " ").compactMap { UInt32($0) }.map { TokenID($0) }) }
  }

  static func expectAgreement(_ tokenizer: Tokenizer, _ name: String) throws {
    let pairs = try pairs(name)
    #expect(pairs.count > 40)
    for (text, tokens) in pairs {
      #expect(tokenizer.encode(text, addSpecial: false) == tokens, "\(name): \(text.debugDescription)")
      #expect(tokenizer.decode(tokens) == text, "\(name): \(text.debugDescription)")
    }
  }

  @Test(.enabled(if: SharedData.exists("tokenizers/ggml-vocab")))
  func scoredPiecesOfLlamaAgree() throws { try Self.expectAgreement(Self.gguf("llama-spm"), "llama-spm") }

  @Test(.enabled(if: SharedData.exists("tokenizers/ggml-vocab")))
  func mergesOfGPT2Agree() throws { try Self.expectAgreement(Self.gguf("gpt-2"), "gpt-2") }

  @Test(.enabled(if: SharedData.exists("tokenizers/qwen2.5")))
  func vocabularyAndMergeFilesOfQwenAgree() throws { try Self.expectAgreement(Self.qwen(), "qwen2") }

  @Test(.enabled(if: SharedData.exists("tokenizers/ggml-vocab")))
  func beginsLlamaTextsWithItsToken() throws {
    let tokenizer = try Self.gguf("llama-spm")
    #expect(tokenizer.addBosByDefault)
    #expect(tokenizer.encode("Hello world") == [1, 15043, 3186])
    #expect(tokenizer.decode([1, 15043, 3186]) == "Hello world")
    #expect(tokenizer.encode("</s>", addSpecial: false) == [2])
    #expect(!tokenizer.encode("</s>", addSpecial: false, parseSpecial: false).contains(2))
  }

  @Test(.enabled(if: SharedData.exists("derived/stories260K-f16.gguf")))
  func readsTheTokenizerOfASmallModel() throws {
    let url = try #require(SharedData.url("derived/stories260K-f16.gguf"))
    let tokenizer = try Tokenizer(source: .open(path: url.path))
    let text = "Once upon a time, there was a little girl named Lily."
    #expect(tokenizer.decode(tokenizer.encode(text)) == text)
    #expect(tokenizer.encode(text).count < 30)
  }
}
