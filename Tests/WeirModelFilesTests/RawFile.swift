// Builds files byte by byte, so that tests can lie in any field.

import WeirBasics
import WeirModelFiles

/// Bytes of a GGUF file under a test's full control.
struct RawGGUF {
  var bytes: [UInt8] = []

  mutating func u8(_ value: UInt8) { bytes.append(value) }
  mutating func u32(_ value: UInt32) { for shift in 0..<4 { bytes.append(UInt8(value >> UInt32(8 * shift) & 255)) } }
  mutating func u64(_ value: UInt64) { for shift in 0..<8 { bytes.append(UInt8(value >> UInt64(8 * shift) & 255)) } }
  mutating func text(_ value: String) {
    u64(UInt64(value.utf8.count))
    bytes += value.utf8
  }

  mutating func header(version: UInt32 = 3, tensors: UInt64, metadata: UInt64) {
    bytes += "GGUF".utf8
    u32(version)
    u64(tensors)
    u64(metadata)
  }

  mutating func tensor(_ name: String, axes: [UInt64], type: UInt32 = 0, offset: UInt64) {
    text(name)
    u32(UInt32(axes.count))
    for axis in axes { u64(axis) }
    u32(type)
    u64(offset)
  }

  mutating func data(_ count: Int) {
    while bytes.count % 32 != 0 { bytes.append(0) }
    bytes += [UInt8](repeating: 0, count: count)
  }

  func open() throws(ModelFileError) -> GGUFFile {
    try GGUFFile(file: MappedFile(copying: bytes, path: "hostile.gguf"))
  }
}

/// A safetensors file of a header's text and so many bytes of data.
func rawSafetensors(_ header: String, data: Int, claimed: UInt64? = nil) -> [UInt8] {
  var file = RawGGUF()
  file.u64(claimed ?? UInt64(header.utf8.count))
  return file.bytes + Array(header.utf8) + [UInt8](repeating: 0, count: data)
}

/// Seeded damage: one to four bit flips, stores, cuts, insertions or repetitions.
func mutated(_ original: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
  let numbers: [UInt64] = [
    0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 32, 1 << 62, 1 << 63, .max, .max - 31,
  ]
  var bytes = original
  for _ in 0...(generator.next() % 4) {
    guard !bytes.isEmpty else { break }
    let at = Int(generator.next() % UInt64(bytes.count))
    switch generator.next() % 6 {
    case 0: bytes[at] ^= 1 << UInt8(generator.next() % 8)
    case 1: bytes[at] = [0, 1, 0x22, 0x2C, 0x5B, 0x7B, 0x7F, 0x80, 0xFF][Int(generator.next() % 9)]
    case 2:
      let number = numbers[Int(generator.next() % UInt64(numbers.count))]
      for place in 0..<min(8, bytes.count - at) { bytes[at + place] = UInt8(number >> UInt64(8 * place) & 255) }
    case 3: bytes.removeSubrange(at..<min(bytes.count, at + 1 + Int(generator.next() % 32)))
    case 4: bytes.insert(contentsOf: (0...(generator.next() % 16)).map { _ in UInt8(generator.next() & 255) }, at: at)
    default: bytes = generator.next() % 3 == 0 ? Array(bytes[..<at]) : bytes + bytes[at...]
    }
  }
  return bytes
}
