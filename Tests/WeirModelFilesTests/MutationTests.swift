// A thousand damaged files per parser: each opens or is refused with a typed error; none crashes.

import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct MutationTests {
  static let mutations = 1000

  /// Runs `attempt` on seeded mutations; any error must be of the stated type. Returns how many were refused.
  private func storm<Failure: WeirError>(
    _ original: [UInt8], seed: UInt64, _ failure: Failure.Type, _ attempt: ([UInt8]) throws -> Void
  ) throws -> Int {
    try attempt(original)
    var refused = 0
    for place in 0..<Self.mutations {
      var generator = SeededGenerator(seed: seed, stream: UInt64(place))
      let bytes = mutated(original, &generator)
      do {
        try attempt(bytes)
      } catch let error as Failure {
        refused += 1
        #expect(!error.message.isEmpty && !error.code.isEmpty)
      } catch {
        Issue.record("seed \(seed), mutation \(place): untyped error \(error)")
      }
    }
    // Both outcomes must occur, or the storm tests nothing.
    #expect(refused > 50 && refused < Self.mutations, "seed \(seed): \(refused) refused")
    return refused
  }

  @Test(arguments: [UInt64(20_261_121)]) func damagedGGUFFiles(seed: UInt64) throws {
    let original = try MappedFile(path: Golden.path("modelfiles/metadata.gguf")).contents()
    let refused = try storm(original, seed: seed, ModelFileError.self) { bytes in
      let file = try GGUFFile(file: MappedFile(copying: bytes, path: "mutated.gguf"))
      for tensor in file.tensors.values { try tensor.validateScales() }
      #expect(!ModelSummary(.gguf(file)).text().isEmpty)
    }
    print("damagedGGUFFiles: seed \(seed), \(refused) of \(Self.mutations) refused")
  }

  @Test(arguments: [UInt64(20_261_122)]) func damagedSafetensorsFiles(seed: UInt64) throws {
    let original = try MappedFile(path: Golden.path("modelfiles/small.safetensors")).contents()
    let refused = try storm(original, seed: seed, ModelFileError.self) { bytes in
      let file = try SafetensorsFile(file: MappedFile(copying: bytes, path: "mutated.safetensors"))
      for tensor in file.tensors.values { try tensor.validateScales() }
    }
    print("damagedSafetensorsFiles: seed \(seed), \(refused) of \(Self.mutations) refused")
  }

  @Test(arguments: [UInt64(20_261_123)]) func damagedConfigurations(seed: UInt64) throws {
    let config = Array(
      #"{"model_type": "llama", "hidden_size": 64, "rope_scaling": {"factor": 8.0}, "ids": [1, 2]}"#.utf8)
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let weights = rawSafetensors(#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, data: 8)
    try Data(weights).write(to: folder.appendingPathComponent("model.safetensors"))
    let refused = try storm(config, seed: seed, ModelFileError.self) { bytes in
      try overwrite(folder.appendingPathComponent("config.json").path, bytes)
      #expect(!ModelSummary(try ModelSource.open(path: folder.path)).text().isEmpty)
    }
    print("damagedConfigurations: seed \(seed), \(refused) of \(Self.mutations) refused")
  }

  /// Foundation's writers wait for the disk, a thousand times too often here.
  private func overwrite(_ path: String, _ bytes: [UInt8]) throws {
    let file = try #require(fopen(path, "wb"))
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
  }

  @Test(arguments: [UInt64(20_261_124)]) func damagedTokenizerFiles(seed: UInt64) throws {
    let tokenizer = Array(
      #"{"version":"1.0","added_tokens":[{"id":0,"content":"<s>"}],"model":{"type":"BPE","vocab":{"é":1,"a\u0301":2,"\ud83d\ude00":3},"merges":["a b"]}}"#
        .utf8)
    let refused = try storm(tokenizer, seed: seed, JSONError.self) { bytes in
      let value = try JSONValue.parse(utf8: bytes)
      #expect(try JSONValue.parse(utf8: value.serializedBytes()) == value)
    }
    print("damagedTokenizerFiles: seed \(seed), \(refused) of \(Self.mutations) refused")
  }
}
