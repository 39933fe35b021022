// Safetensors files and model folders that lie.

import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct HostileSafetensorsTests {
  @Test(arguments: [
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4, ModelFileError.Reason.badOffset),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 12, .badOffset),
    (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8, .badShape),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8, .badOffset),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#, 8, .badOffset),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0.5,8]}}"#, 8, .badOffset),
    (#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, 8, .badShape),
    (#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, .badShape),
    (#"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#, 8, .unsupportedType),
    (#"{"a":{"shape":[2],"data_offsets":[0,8]}}"#, 8, .unsupportedType),
    (#"{"a":7}"#, 0, .unsupportedType), ("[]", 0, .badJSON), ("{", 0, .badJSON), ("", 0, .badJSON),
    (#"{"__metadata__":[]}"#, 0, .badValue), (#"{"__metadata__":{"a":1}}"#, 0, .badValue),
    (#"{"a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}}"#, 4, .badOffset),
    (
      #"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}}"#,
      6, .overlap
    ),
    (
      #"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"a":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}"#,
      8, .duplicateName
    ),
  ]) func refusesHeadersThatLie(header: String, data: Int, reason: ModelFileError.Reason) {
    let file = MappedFile(copying: rawSafetensors(header, data: data), path: "hostile.safetensors")
    let error = #expect(throws: ModelFileError.self) { try SafetensorsFile(file: file) }
    #expect(error?.reason == reason)
    #expect(error?.path == "hostile.safetensors" && error?.field.isEmpty == false)
  }

  @Test(arguments: [UInt64.max, 1 << 40, 100_000_001, 3]) func refusesHeaderLengthsThatLie(length: UInt64) {
    let file = MappedFile(copying: rawSafetensors("{}", data: 0, claimed: length), path: "hostile.safetensors")
    #expect(throws: ModelFileError.self) { try SafetensorsFile(file: file) }
    #expect(throws: ModelFileError.self) { try SafetensorsFile(file: MappedFile(copying: [1, 2], path: "short")) }
  }

  @Test func misalignedTensorsAreCopied() throws {
    // one blank makes the data start at an odd address
    let header = #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
    let blanks = String(repeating: " ", count: (8 - header.utf8.count % 8) % 8 + 1)
    let file = try SafetensorsFile(
      file: MappedFile(copying: rawSafetensors(header + blanks, data: 8), path: "odd.safetensors"))
    let tensor = try #require(file.tensors["a"])
    #expect(Int(bitPattern: tensor.bytes.baseAddress) % 4 == 0 && tensor.contents() == [UInt8](repeating: 0, count: 8))
  }
}

@Suite struct HostileFolderTests {
  private let good = rawSafetensors(#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, data: 8)

  /// Opens a folder of the given files; symbolic links are given as `-> target`.
  private func open(_ files: [String: [UInt8]], links: [String: String] = [:]) throws -> HuggingFaceFolder {
    let manager = FileManager.default
    let folder = manager.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString)")
    try manager.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? manager.removeItem(at: folder) }
    for (name, bytes) in files { try Data(bytes).write(to: folder.appendingPathComponent(name)) }
    for (name, target) in links {
      try manager.createSymbolicLink(atPath: folder.appendingPathComponent(name).path, withDestinationPath: target)
    }
    return try HuggingFaceFolder(path: folder.path)
  }

  private func index(_ map: String) -> [UInt8] { Array(#"{"weight_map": \#(map)}"#.utf8) }

  @Test func opensShardsAndOptionalFiles() throws {
    let other = rawSafetensors(#"{"b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}"#, data: 2)
    let folder = try open([
      "config.json": Array(#"{"model_type": "llama"}"#.utf8), "one.safetensors": good, "two.safetensors": other,
      "model.safetensors.index.json": index(#"{"a": "one.safetensors", "b": "two.safetensors"}"#),
      "tokenizer_config.json": Array(#"{"chat_template": [{"name": "default", "template": "T"}]}"#.utf8),
      "merges.txt": [],
    ])
    #expect(folder.tensors.keys.sorted() == ["a", "b"] && folder.shards == ["one.safetensors", "two.safetensors"])
    #expect(folder.chatTemplate == "T" && folder.generationConfig == nil && folder.mergesPath != nil)
    #expect(ModelSource.huggingFace(folder).architecture == "llama")
  }

  @Test(arguments: [
    ("{\"a\": \"../one.safetensors\"}", ModelFileError.Reason.unsafePath), ("{\"a\": \"/etc/passwd\"}", .unsafePath),
    ("{\"a\": \"..\"}", .unsafePath), ("{\"a\": \"one.bin\"}", .unsafePath),
    ("{\"a\": \"one.safetensors\\u0000.safetensors\"}", .unsafePath), ("{\"a\": 1}", .badJSON), ("{}", .badJSON),
    ("[]", .badJSON), ("{\"a\": \"none.safetensors\"}", .cannotOpen), ("{\"b\": \"one.safetensors\"}", .missing),
    ("{\"a\": \"loop.safetensors\"}", .cannotOpen), ("{\"a\": \"folder.safetensors\"}", .cannotOpen),
    ("{\"a\": \"one.safetensors\", \"b\": \"same.safetensors\"}", .duplicateName),
  ]) func refusesIndexesThatLie(map: String, reason: ModelFileError.Reason) {
    let error = #expect(throws: ModelFileError.self) {
      try open(
        [
          "config.json": Array("{}".utf8), "one.safetensors": good, "same.safetensors": good,
          "model.safetensors.index.json": index(map),
        ], links: ["loop.safetensors": "loop.safetensors", "folder.safetensors": "."])
    }
    #expect(error?.reason == reason, "\(error?.message ?? "")")
  }

  @Test func refusesFoldersWithoutModel() throws {
    for (files, field) in [
      ([:], "config.json"), (["config.json": Array("{}".utf8)], "model.safetensors"),
      (["config.json": Array("[]".utf8), "model.safetensors": good], "config.json"),
      (["config.json": Array("{".utf8), "model.safetensors": good], "config.json"),
      (["config.json": Array("{}".utf8), "model.safetensors": good, "tokenizer.json": [0xFF]], "tokenizer.json"),
    ] as [([String: [UInt8]], String)] {
      let error = #expect(throws: ModelFileError.self) { try open(files) }
      #expect(error?.field == field)
    }
    #expect(throws: ModelFileError.self) { try ModelSource.open(path: "/nowhere/model.gguf") }
    #expect(throws: ModelFileError.self) { try ModelSource.open(path: "/dev/null") }
  }
}
