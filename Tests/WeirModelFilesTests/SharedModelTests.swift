// The real small models beside the repository, where they are there.

import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct SharedModelTests {
  @Test(.enabled(if: SharedData.exists("derived/tiny1m-f32.gguf")), arguments: ["tiny1m", "stories260K"])
  func ggufAndFolderHoldTheSameNorms(model: String) throws {
    let gguf = try GGUFFile(path: try #require(SharedData.url("derived/\(model)-f32.gguf")).path)
    let folder = try HuggingFaceFolder(path: try #require(SharedData.url("derived/\(model)-hf")).path)
    #expect(gguf.metadata["general.architecture"]?.stringValue == "llama")
    #expect(gguf.metadata["llama.block_count"]?.intValue == folder.config["num_hidden_layers"]?.int)
    let fromGGUF = try #require(gguf.tensors["blk.0.attn_norm.weight"])
    let fromFolder = try #require(folder.tensors["model.layers.0.input_layernorm.weight"])
    #expect(fromGGUF.shape == fromFolder.shape && fromFolder.type == .f32)
    #expect(fromGGUF.contents() == fromFolder.contents())
    let embedding = try #require(gguf.tensors["token_embd.weight"])
    #expect(embedding.shape.count == 2)
    #expect(gguf.metadata["tokenizer.ggml.tokens"]?.stringsValue?.count == embedding.rows)
    for tensor in gguf.tensors.values { try tensor.validateScales() }
  }

  @Test(.enabled(if: SharedData.exists("derived/tiny1m-q4_0.gguf")), arguments: ["q8_0", "q4_0", "f16"])
  func everyStoredTypeOpens(type: String) throws {
    let path = try #require(SharedData.url("derived/tiny1m-\(type).gguf")).path
    guard case .gguf(let gguf) = try ModelSource.open(path: path) else {
      Issue.record("a file is no folder")
      return
    }
    #expect(gguf.tensors.values.contains { $0.type.name == type })
    for tensor in gguf.tensors.values { try tensor.validateScales() }
  }
}
