// Files that lie: each lie is refused with an error that names the file and the field.

import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct HostileGGUFTests {
  private func expect(
    _ reason: ModelFileError.Reason, _ field: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ build: (inout RawGGUF) -> Void
  ) {
    var file = RawGGUF()
    build(&file)
    let error = #expect(throws: ModelFileError.self, sourceLocation: sourceLocation) { try file.open() }
    #expect(error?.reason == reason, sourceLocation: sourceLocation)
    #expect(error?.field == field, sourceLocation: sourceLocation)
    #expect(error?.path == "hostile.gguf", sourceLocation: sourceLocation)
  }

  @Test func refusesWrongBeginnings() {
    expect(.truncated, "magic") { _ in }
    expect(.badMagic, "magic") { $0.bytes = Array("GGML".utf8) + [3, 0, 0, 0] }
    expect(.unsupportedVersion, "version") { $0.header(version: 1, tensors: 0, metadata: 0) }
    expect(.unsupportedVersion, "version") { $0.header(version: 0x0300_0000, tensors: 0, metadata: 0) }
  }

  @Test func refusesAbsurdCounts() {
    expect(.badCount, "tensor count") { $0.header(tensors: .max, metadata: 0) }
    expect(.badCount, "metadata count") { $0.header(tensors: 0, metadata: 1 << 40) }
    expect(.badCount, "metadata k") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("k")
      $0.u32(9)
      $0.u32(4)
      $0.u64(1 << 61)
    }
    expect(.truncated, "metadata k") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("k")
      $0.u32(8)
      $0.u64(.max)
    }
    expect(.truncated, "metadata key 0") {
      $0.header(tensors: 0, metadata: 1)
      $0.u64(1 << 63)
      $0.data(32)
    }
  }

  @Test func refusesBadMetadata() {
    expect(.unsupportedType, "metadata k") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("k")
      $0.u32(13)
      $0.u64(0)
    }
    expect(.badValue, "metadata k") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("k")
      $0.u32(7)
      $0.u8(2)
      $0.u64(0)
    }
    expect(.badText, "metadata k") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("k")
      $0.u32(8)
      $0.u64(2)
      $0.bytes += [0xC0, 0x80]
    }
    expect(.badText, "metadata key 0") {
      $0.header(tensors: 0, metadata: 1)
      $0.u64(1)
      $0.bytes += [0xFF]
      $0.data(32)
    }
    expect(.duplicateName, "metadata k") {
      $0.header(tensors: 0, metadata: 2)
      for _ in 0..<2 {
        $0.text("k")
        $0.u32(4)
        $0.u32(1)
      }
    }
    expect(.badValue, "metadata k") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("k")
      $0.u32(9)
      for _ in 0..<20 {
        $0.u32(9)
        $0.u64(1)
      }
      $0.data(64)
    }
  }

  @Test(arguments: [UInt32(0), 1, 7, 33, 1 << 20]) func refusesBadAlignment(alignment: UInt32) {
    expect(.badValue, "metadata general.alignment") {
      $0.header(tensors: 0, metadata: 1)
      $0.text("general.alignment")
      $0.u32(4)
      $0.u32(alignment)
    }
  }

  @Test func refusesBadShapes() {
    expect(.badShape, "tensor w axis count") {
      $0.header(tensors: 1, metadata: 0)
      $0.tensor("w", axes: [1, 1, 1, 1, 1], offset: 0)
    }
    expect(.badShape, "tensor w axis count") {
      $0.header(tensors: 1, metadata: 0)
      $0.tensor("w", axes: [], offset: 0)
      $0.data(32)
    }
    for axes: [UInt64] in [[0], [1 << 63], [.max]] {
      expect(.badShape, "tensor w shape") {
        $0.header(tensors: 1, metadata: 0)
        $0.tensor("w", axes: axes, offset: 0)
      }
    }
    // products that overflow, or wrap to something small
    for axes: [UInt64] in [[1 << 32, 1 << 32], [1 << 31, 1 << 31, 1 << 31], [1 << 62, 4], [1 << 60]] {
      expect(.badShape, "tensor w shape") {
        $0.header(tensors: 1, metadata: 0)
        $0.tensor("w", axes: axes, offset: 0)
      }
    }
    expect(.badShape, "tensor w shape") {
      $0.header(tensors: 1, metadata: 0)
      $0.tensor("w", axes: [33, 2], type: 8, offset: 0)
    }
    expect(.unsupportedType, "tensor w type") {
      $0.header(tensors: 1, metadata: 0)
      $0.tensor("w", axes: [32], type: 4, offset: 0)
    }
  }

  @Test func refusesBadOffsets() {
    for (offset, count) in [(UInt64(32), 32), (1 << 40, 32), (.max - 31, 32), (0, 31)] {
      expect(.badOffset, "tensor w offset") {
        $0.header(tensors: 1, metadata: 0)
        $0.tensor("w", axes: [8], offset: offset)
        $0.data(count)
      }
    }
    expect(.misaligned, "tensor w offset") {
      $0.header(tensors: 1, metadata: 0)
      $0.tensor("w", axes: [8], offset: 4)
      $0.data(64)
    }
    expect(.overlap, "tensor b offset") {
      $0.header(tensors: 2, metadata: 0)
      $0.tensor("a", axes: [16], offset: 0)
      $0.tensor("b", axes: [8], offset: 32)
      $0.data(64)
    }
    expect(.duplicateName, "tensor w") {
      $0.header(tensors: 2, metadata: 0)
      $0.tensor("w", axes: [8], offset: 0)
      $0.tensor("w", axes: [8], offset: 32)
      $0.data(64)
    }
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = try MappedFile(path: Golden.path("modelfiles/metadata.gguf")).contents()
    let file = try GGUFFile(file: MappedFile(copying: whole, path: "whole.gguf"))
    let needed = try #require(file.tensors["two"]?.bytes.count)
    // the padding behind the last tensor may be missing, its bytes may not
    let padding = 64 - needed
    for count in 0..<(whole.count - padding) {
      #expect(throws: ModelFileError.self, "\(count) bytes") {
        try GGUFFile(file: MappedFile(copying: Array(whole[..<count]), path: "cut.gguf"))
      }
    }
    _ = try GGUFFile(file: MappedFile(copying: Array(whole[..<(whole.count - padding)]), path: "cut.gguf"))
  }
}
