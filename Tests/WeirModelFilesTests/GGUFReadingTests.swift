// Files written by gguf-py.

import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct GGUFReadingTests {
  @Test func readsEveryMetadataType() throws {
    let file = try GGUFFile(path: Golden.path("modelfiles/metadata.gguf"))
    #expect(file.version == 3 && file.alignment == 64)
    let expected: [String: MetadataValue] = [
      "general.architecture": .string("golden"), "t.uint8": .uint8(200), "t.int8": .int8(-100),
      "t.uint16": .uint16(60000), "t.int16": .int16(-30000), "t.uint32": .uint32(4_000_000_000),
      "t.int32": .int32(-2_000_000_000), "t.uint64": .uint64(18_000_000_000_000_000_000),
      "t.int64": .int64(-9_000_000_000_000_000_000), "t.float32": .float32(0.1), "t.float64": .float64(0.1),
      "t.true": .bool(true), "t.false": .bool(false), "t.string": .string("héllo 😀\n"),
      "t.strings": .strings(PackedStrings(["a", "", "é", "▁the"])), "t.ints": .ints([1, -2, 3]),
      "t.floats": .floats([0.5, -1.25, 3]), "t.bools": .array([.bool(true), .bool(false), .bool(true)]),
      "t.nested": .array([.ints([1, 2]), .ints([3])]), "general.alignment": .uint32(64),
    ]
    for (key, value) in expected { #expect(file.metadata[key] == value, "\(key)") }
    let raw = try #require(file.metadata["t.bytestrings"]?.stringsValue)
    #expect(Array(raw[0]) == [0xFF, 0xFE] && raw.text(1) == "ok")
    #expect(file.metadata.count == expected.count + 1 && file.metadataKeys.count == file.metadata.count)
  }

  @Test func accessorsConvertWithoutLoss() {
    #expect(MetadataValue.uint64(.max).intValue == nil && MetadataValue.int8(-3).intValue == -3)
    #expect(MetadataValue.float32(2).intValue == 2 && MetadataValue.float64(2.5).intValue == nil)
    #expect(MetadataValue.uint64(.max).doubleValue == 0x1p64 && MetadataValue.bool(true).intValue == nil)
    #expect(MetadataValue.ints([1, 2]).floatsValue == [1, 2] && MetadataValue.floats([1, 2]).intsValue == [1, 2])
    #expect(MetadataValue.ints([]).stringsValue?.isEmpty == true && MetadataValue.ints([1]).stringsValue == nil)
    #expect(MetadataValue.strings(PackedStrings(["x"])).arrayValue == [.string("x")])
  }

  @Test func shapesAreSlowestAxisFirst() throws {
    let file = try GGUFFile(path: Golden.path("modelfiles/metadata.gguf"))
    let tensor = try #require(file.tensors["one"])
    #expect(tensor.shape == [2, 3] && tensor.rows == 2 && tensor.columns == 3 && tensor.elementCount == 6)
    #expect(ReferenceDequantizer.values(tensor.contents(), type: tensor.type) == [0, 1, 2, 3, 4, 5])
    #expect(file.tensorNames == ["one", "two"] && file.tensors["two"]?.shape == [4])
  }

  @Test(arguments: TensorType.allCases) func everyTensorTypeHoldsWhatTheWriterMeant(type: TensorType) throws {
    let file = try GGUFFile(path: Golden.path("modelfiles/types.gguf"))
    let stored = try #require(file.tensors["\(type.name).stored"])
    let values = try #require(file.tensors["\(type.name).values"])
    #expect(stored.type == type && stored.shape == [2, 512] && values.shape == [2, 512])
    try stored.validateScales()
    let expected = ReferenceDequantizer.values(values.contents(), type: .f32)
    #expect(ReferenceDequantizer.values(stored.contents(), type: type) == expected)
  }

  @Test func versionTwoHasTheSameLayout() throws {
    let three = try MappedFile(path: Golden.path("modelfiles/metadata.gguf"))
    var bytes = three.contents()
    bytes[4] = 2
    let two = try GGUFFile(file: MappedFile(copying: bytes, path: "two.gguf"))
    let original = try GGUFFile(file: three)
    #expect(two.version == 2 && two.metadata == original.metadata)
  }

  @Test func readsWhatTheSafetensorsLibraryWrote() throws {
    let file = try SafetensorsFile(path: Golden.path("modelfiles/small.safetensors"))
    #expect(file.metadata == ["format": "pt", "note": "héllo"])
    #expect(file.tensors["a"]?.shape == [3, 5] && file.tensors["b"]?.type == .f16)
    #expect(file.unsupportedTensors == ["ids": "I64"])
    let scalar = try #require(file.tensors["scalar"])
    #expect(scalar.shape == [] && scalar.elementCount == 1)
    #expect(ReferenceDequantizer.values(scalar.contents(), type: .f32) == [2.5])
  }
}
