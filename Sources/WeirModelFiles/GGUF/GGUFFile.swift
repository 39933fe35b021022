// A GGUF file: header, metadata, tensor table. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

import WeirBasics

/// A GGUF file of version 2 or 3, little-endian, mapped into memory. Opening reads the header only.
public struct GGUFFile: Sendable {
  public let path: String
  public let version: Int
  public let metadata: [String: MetadataValue]
  /// Metadata keys in file order.
  public let metadataKeys: [String]
  public let tensors: [String: TensorView]
  /// Tensor names in file order.
  public let tensorNames: [String]
  /// Tensor data is aligned to this many bytes.
  public let alignment: Int
  public let file: MappedFile

  static let magic: UInt32 = 0x4655_4747  // "GGUF", little-endian
  static let defaultAlignment = 32

  /// Opens a file.
  ///
  /// - Parameter path: the file.
  /// - Throws: `ModelFileError` naming the field that was wrong.
  public init(path: String) throws(ModelFileError) {
    try self.init(file: MappedFile(path: path))
  }

  /// Reads a file that is in memory already.
  ///
  /// - Parameter file: its bytes.
  /// - Throws: `ModelFileError` naming the field that was wrong.
  public init(file: MappedFile) throws(ModelFileError) {
    self.file = file
    path = file.path
    var reader = GGUFReader(file: file)
    version = try Self.readVersion(&reader)
    // 24 bytes: an empty name, one axis, type and offset; 13 bytes: an empty key, type and one byte
    let tensorCount = try reader.count("tensor count", smallestBytes: 24)
    let metadataCount = try reader.count("metadata count", smallestBytes: 13)

    var metadata: [String: MetadataValue] = [:]
    var keys: [String] = []
    for place in 0..<metadataCount {
      let key = try reader.text("metadata key \(place)")
      let value = try reader.value("metadata \(key)")
      guard metadata.updateValue(value, forKey: key) == nil else {
        throw reader.error(.duplicateName, "metadata \(key)", "a key may occur only once")
      }
      keys.append(key)
    }
    self.metadata = metadata
    metadataKeys = keys
    alignment = try Self.alignment(metadata, reader)

    var entries: [TensorEntry] = []
    entries.reserveCapacity(tensorCount)
    for place in 0..<tensorCount { entries.append(try TensorEntry(&reader, place: place)) }
    tensorNames = entries.map(\.name)
    tensors = try Self.resolve(entries, reader, alignment: alignment)
  }

  private static func readVersion(_ reader: inout GGUFReader) throws(ModelFileError) -> Int {
    let found = try reader.integer(UInt32.self, "magic")
    guard found == magic else { throw reader.error(.badMagic, "magic", "a GGUF file starts with the letters GGUF") }
    let version = try reader.integer(UInt32.self, "version")
    guard version == 2 || version == 3 else {
      let hint = version.byteSwapped <= 3 ? " (the file is big-endian)" : ""
      throw reader.error(.unsupportedVersion, "version", "\(version) is not supported\(hint); 2 and 3 are")
    }
    return Int(version)
  }

  private static func alignment(_ metadata: [String: MetadataValue], _ reader: GGUFReader) throws(ModelFileError)
    -> Int
  {
    guard let value = metadata["general.alignment"] else { return defaultAlignment }
    guard let alignment = value.intValue, (8...65536).contains(alignment), alignment & (alignment - 1) == 0 else {
      throw reader.error(
        .badValue, "metadata general.alignment", "it must be a power of two from 8 to 65536, not \(value)")
    }
    return alignment
  }

  private static func resolve(
    _ entries: [TensorEntry], _ reader: GGUFReader, alignment: Int
  ) throws(ModelFileError) -> [String: TensorView] {
    let file = reader.file
    let dataStart = (reader.offset + alignment - 1) & ~(alignment - 1)
    let dataBytes = max(0, file.bytes.count - dataStart)
    var tensors: [String: TensorView] = [:]
    tensors.reserveCapacity(entries.count)
    var ranges: [(name: String, range: Range<Int>)] = []
    for entry in entries {
      let field = "tensor \(entry.name)"
      guard entry.offset % UInt64(alignment) == 0 else {
        throw reader.error(.misaligned, "\(field) offset", "\(entry.offset) must be a multiple of \(alignment)")
      }
      guard entry.offset <= UInt64(dataBytes), entry.byteCount <= dataBytes - Int(entry.offset) else {
        throw reader.error(
          .badOffset, "\(field) offset",
          "\(entry.byteCount) bytes at \(entry.offset) do not fit in the \(dataBytes) bytes of tensor data")
      }
      let start = dataStart + Int(entry.offset)
      let range = start..<(start + entry.byteCount)
      let view = TensorView(
        name: entry.name, type: entry.type, shape: entry.shape,
        bytes: UnsafeRawBufferPointer(rebasing: file.bytes[range]), owner: file)
      guard tensors.updateValue(view, forKey: entry.name) == nil else {
        throw reader.error(.duplicateName, field, "a tensor name may occur only once")
      }
      ranges.append((entry.name, range))
    }
    try checkOverlaps(ranges, path: reader.path)
    return tensors
  }
}

/// One line of the tensor table.
private struct TensorEntry {
  let name: String
  let shape: [Int]
  let type: TensorType
  let offset: UInt64
  let byteCount: Int

  init(_ reader: inout GGUFReader, place: Int) throws(ModelFileError) {
    name = try reader.text("tensor name \(place)")
    let field = "tensor \(name)"
    let axes = try reader.integer(UInt32.self, "\(field) axis count")
    guard (1...4).contains(axes) else {
      throw reader.error(.badShape, "\(field) axis count", "\(axes) axes; a tensor has 1 to 4")
    }
    var shape: [Int] = []
    for _ in 0..<axes {
      let length = try reader.integer(UInt64.self, "\(field) shape")
      guard let axis = Int(exactly: length), axis >= 1 else {
        throw reader.error(.badShape, "\(field) shape", "an axis of length \(length) is out of range")
      }
      shape.insert(axis, at: 0)
    }
    let number = try reader.integer(UInt32.self, "\(field) type")
    guard let type = TensorType(rawValue: number) else {
      let known = TensorType.allCases.map(\.name).joined(separator: ", ")
      throw reader.error(.unsupportedType, "\(field) type", "ggml type \(number) is not supported; \(known) are")
    }
    guard let byteCount = TensorView.byteCount(type: type, shape: shape) else {
      throw reader.error(
        .badShape, "\(field) shape",
        "\(shape) is not possible for \(type.name): rows must be multiples of \(type.blockElements) and fit in memory")
    }
    offset = try reader.integer(UInt64.self, "\(field) offset")
    self.shape = shape
    self.type = type
    self.byteCount = byteCount
  }
}
