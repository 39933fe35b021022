// What we write, we and others read back.

import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct GGUFWritingTests {
  /// A writer with one value of every kind and two tensors.
  private func sample(alignment: Int) throws -> GGUFWriter {
    var writer = GGUFWriter(alignment: alignment)
    let values: [MetadataValue] = [
      .uint8(1), .int8(-1), .uint16(2), .int16(-2), .uint32(3), .int32(-3), .uint64(.max), .int64(.min),
      .float32(0.5), .float64(-0.25), .bool(true), .string("é"), .strings(PackedStrings(["x", ""])), .floats([1.5]),
      .ints([1, -1]), .ints([1 << 40]), .array([.bool(false)]), .array([.ints([1]), .ints([])]),
    ]
    for (place, value) in values.enumerated() { writer.set(value, for: "key.\(place)") }
    try writer.declare("small", type: .f32, shape: [3])
    try writer.declare("blocks", type: .q8_0, shape: [2, 3, 64])
    return writer
  }

  private func data(_ tensor: GGUFWriter.Declaration) -> [UInt8] {
    (0..<tensor.byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ tensor.name.utf8.count) }
  }

  @Test(arguments: [8, 32, 4096]) func readsBackEverythingItWrote(alignment: Int) throws {
    let writer = try sample(alignment: alignment)
    let file = try GGUFFile(file: MappedFile(copying: writer.bytes(data: data), path: "written.gguf"))
    #expect(file.alignment == alignment)
    for (key, value) in writer.metadata { #expect(file.metadata[key] == value, "\(key)") }
    for tensor in writer.tensors {
      let view = try #require(file.tensors[tensor.name])
      #expect(view.shape == tensor.shape && view.type == tensor.type)
      #expect(view.contents() == data(tensor))
    }
  }

  @Test func streamsTheSameBytesToDisk() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString).gguf").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try sample(alignment: 32)
    try writer.write(to: path) { tensor, sink throws(ModelFileError) in
      let bytes = data(tensor)
      // in two pieces
      for piece in [bytes[..<5], bytes[5...]] {
        let copy = MappedFile(copying: Array(piece), path: "piece")
        try sink(copy.bytes)
        withExtendedLifetime(copy) {}
      }
    }
    #expect(try MappedFile(path: path).contents() == writer.bytes(data: data))
    #expect(!FileManager.default.fileExists(atPath: "\(path).part"))
  }

  @Test func leavesNothingBehindWhenItFails() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString).gguf").path
    let writer = try sample(alignment: 32)
    let error = #expect(throws: ModelFileError.self) {
      try writer.write(to: path) { tensor, _ throws(ModelFileError) in
        throw ModelFileError(.badValue, path: path, field: tensor.name, "no data")
      }
    }
    #expect(error?.field == "small")
    #expect(!FileManager.default.fileExists(atPath: path) && !FileManager.default.fileExists(atPath: "\(path).part"))
    let missing = #expect(throws: ModelFileError.self) { try writer.write(to: "/nowhere/x.gguf") { _, _ in } }
    #expect(missing?.reason == .cannotWrite)
  }

  @Test func refusesWhatNoFileMayHold() throws {
    var writer = GGUFWriter()
    try writer.declare("a", type: .f32, shape: [1])
    for (shape, type) in [([], TensorType.f32), ([0], .f32), ([33], .q8_0), ([1, 1, 1, 1, 1], .f32)] {
      let error = #expect(throws: ModelFileError.self) { try writer.declare("b", type: type, shape: shape) }
      #expect(error?.reason == .badShape)
    }
    let twice = #expect(throws: ModelFileError.self) { try writer.declare("a", type: .f32, shape: [1]) }
    #expect(twice?.reason == .duplicateName)
    writer.set(.array([.bool(true), .uint8(1)]), for: "mixed")
    let mixed = #expect(throws: ModelFileError.self) { try writer.header() }
    #expect(mixed?.field == "metadata mixed")
  }
}
