// Random models are valid, repeatable and sane.

import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct RandomModelTests {
  private func make(_ type: TensorType, seed: UInt64) throws -> [UInt8] {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString).gguf").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    var last = 0.0
    try RandomModel.write(geometry: .tiny, type: type, seed: seed, to: path) {
      #expect($0 >= last)
      last = $0
    }
    #expect(last == 1)
    return try MappedFile(path: path).contents()
  }

  @Test(arguments: [TensorType.f32, .q8_0, .q4_K]) func opensAndHoldsTheStatedShape(type: TensorType) throws {
    let file = try GGUFFile(file: MappedFile(copying: make(type, seed: 7), path: "tiny.gguf"))
    let shape = RandomModel.Geometry.tiny.shape
    #expect(file.metadata["llama.block_count"]?.intValue == shape.layers)
    #expect(file.tensors.count == 3 + 9 * shape.layers)
    #expect(file.tensors["token_embd.weight"]?.shape == [shape.vocabulary, shape.width])
    #expect(file.tensors["blk.1.attn_k.weight"]?.shape == [shape.kvHeads * shape.headDim, shape.width])
    #expect(file.tensors["blk.0.ffn_down.weight"]?.shape == [shape.width, shape.feedForward])
    #expect(file.tensors["blk.0.ffn_up.weight"]?.type == type)
    #expect(file.tensors["output.weight"]?.type == (type == .q4_K ? .q6_K : type))
    for tensor in file.tensors.values { try tensor.validateScales() }
  }

  @Test func drawsAreNormalAndDifferByTensor() throws {
    let file = try GGUFFile(file: MappedFile(copying: make(.f32, seed: 3), path: "tiny.gguf"))
    func values(_ name: String) throws -> [Double] {
      let tensor = try #require(file.tensors[name])
      return ReferenceDequantizer.values(tensor.contents(), type: .f32).map(Double.init)
    }
    for (name, deviation) in [("token_embd.weight", 1.0), ("blk.0.attn_q.weight", 1 / 16.0)] {
      let drawn = try values(name)
      let n = Double(drawn.count)
      let mean = drawn.reduce(0, +) / n
      let variance = drawn.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
      // five standard errors of the mean and of the variance of n normal draws
      #expect(abs(mean) < 5 * deviation / n.squareRoot(), "\(name) mean \(mean)")
      #expect(abs(variance / (deviation * deviation) - 1) < 5 * (2 / n).squareRoot(), "\(name) variance \(variance)")
    }
    #expect(try values("blk.0.attn_q.weight") != values("blk.1.attn_q.weight"))
  }

  @Test func geometriesHaveTheSizeTheirNameSays() {
    #expect(RandomModel.Geometry.tiny.parameters == 1_443_072)
    for (geometry, millions) in [(RandomModel.Geometry.million25, 25), (.million125, 125), (.billion, 1100)] {
      #expect(abs(geometry.parameters - millions * 1_000_000) < millions * 30_000, "\(geometry.parameters)")
    }
    for geometry in RandomModel.Geometry.allCases {
      let shape = geometry.shape
      #expect(shape.width % 256 == 0 && shape.feedForward % 256 == 0 && shape.width % shape.heads == 0)
      #expect(shape.heads % shape.kvHeads == 0 && shape.context <= 32768)
    }
  }

  @Test func sameSeedGivesTheSameBytes() throws {
    let first = try make(.q4_0, seed: 1)
    #expect(try make(.q4_0, seed: 1) == first)
    #expect(try make(.q4_0, seed: 2) != first)
  }

  @Test func vocabularyIsUniqueAndReachableByMerges() throws {
    let file = try GGUFFile(file: MappedFile(copying: make(.q8_0, seed: 7), path: "tiny.gguf"))
    let pieces = try #require(file.metadata["tokenizer.ggml.tokens"]?.stringsValue)
    let kinds = try #require(file.metadata["tokenizer.ggml.token_type"]?.intsValue)
    let scores = try #require(file.metadata["tokenizer.ggml.scores"]?.floatsValue)
    #expect(pieces.count == 512 && kinds.count == 512 && scores.count == 512)
    let texts = pieces.indices.map { pieces.text($0) }
    #expect(Set(texts).count == texts.count)
    #expect(Array(texts[0..<4]) == ["<unk>", "<s>", "</s>", "<0x00>"] && texts[258] == "<0xFF>")
    let normal = Set(zip(texts, kinds).filter { $0.1 == 1 }.map(\.0))
    for piece in normal where piece.unicodeScalars.count > 1 {
      let scalars = Array(piece.unicodeScalars)
      let splits = (1..<scalars.count).contains { cut in
        func text(_ part: ArraySlice<UnicodeScalar>) -> String {
          String(String.UnicodeScalarView(part))
        }
        return normal.contains(text(scalars[..<cut])) && normal.contains(text(scalars[cut...]))
      }
      #expect(splits, "\(piece) joins no two pieces")
    }
  }

  @Test func summaryCountsWhatIsThere() throws {
    let source = ModelSource.gguf(
      try GGUFFile(file: MappedFile(copying: make(.q8_0, seed: 7), path: "tiny.gguf")))
    let summary = ModelSummary(source)
    #expect(summary.parameters == 1_443_072 && summary.architecture == "llama" && summary.format == "GGUF v3")
    #expect(summary.types.map(\.type) == [.q8_0, .f32])
    #expect(summary.bytes == source.tensors.values.reduce(0) { $0 + $1.bytes.count })
    let text = summary.text()
    #expect(text.contains("parameters    1 443 072 in 21 tensors"))
    #expect(text.contains("blk.0.attn_k.weight") && !summary.text(listsTensors: false).contains("blk.0.attn_k.weight"))
    let json = try JSONValue.parse(summary.json.serialized())
    #expect(json["metadata"]?["llama.block_count"]?.int == 2)
    #expect(json["metadata"]?["tokenizer.ggml.tokens"]?["count"]?.int == 512)
    #expect(json["tensors"]?[0]?["name"]?.string == "token_embd.weight")
    #expect(json["types"]?[0]?["bytes"]?.int == summary.types[0].bytes)
  }
}
