// The exported tokenizer, read back by our own reader, gives the ids of the original.

import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirText

@Suite struct TokenizerExportTests {
  private static let texts = [
    "", "Hello world", "  two  spaces ", "tabs\tand\nlines", "Zürich 🦙 naïve", "1234567 and 3.14", "<s> is not special",
  ]

  @Test func aScoredVocabularySurvivesTheExport() throws {
    let path = NSTemporaryDirectory() + "weir-export-\(UInt64.random(in: 0...(.max))).gguf"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try RandomModel.write(geometry: .tiny, type: .f32, seed: 5, to: path, progress: nil)
    let source = try ModelSource.open(path: path)
    let original = try Tokenizer(source: source)
    let files = try TokenizerExport.files(source: source)
    let json = try JSONValue.parse(try #require(files["tokenizer.json"]))
    let config = try JSONValue.parse(try #require(files["tokenizer_config.json"]))
    #expect(json["model"]?["type"]?.string == "BPE")
    #expect(config["tokenizer_class"]?.string == "PreTrainedTokenizerFast")
    let readBack = try Tokenizer(vocabulary: TokenizerVocabulary(tokenizerJSON: json))
    #expect(readBack.vocabularySize == original.vocabularySize)
    for text in Self.texts {
      #expect(
        readBack.encode(text, addSpecial: false, parseSpecial: false)
          == original.encode(text, addSpecial: false, parseSpecial: false), "\(text)")
    }
  }
}
