// Writes GGUF v3 files; tensor data is streamed, so that a model need not fit in memory.

public import WeirBasics

/// A GGUF file under construction: metadata and tensor table first, then the data in table order.
public struct GGUFWriter: Sendable {
  /// A tensor that will be written.
  public struct Declaration: Sendable, Equatable {
    public let name: String
    public let type: TensorType
    /// Slowest axis first.
    public let shape: [Int]
    /// Size of the tensor's data, without padding.
    public let byteCount: Int
  }

  public let alignment: Int
  /// Keys and values in the order they will be written.
  public private(set) var metadata: [(key: String, value: MetadataValue)] = []
  public private(set) var tensors: [Declaration] = []

  /// Starts an empty file.
  ///
  /// - Parameter alignment: of tensor data, a power of two of at least 8.
  public init(alignment: Int = 32) {
    precondition(alignment >= 8 && alignment & (alignment - 1) == 0, "alignment must be a power of two, at least 8")
    self.alignment = alignment
  }

  /// Adds a key; an existing one keeps its place and gets the new value.
  ///
  /// - Parameters:
  ///   - value: the value; numbers in `.ints` are written as 32 bits if all fit, otherwise as 64.
  ///   - key: the key.
  public mutating func set(_ value: MetadataValue, for key: String) {
    if let place = metadata.firstIndex(where: { $0.key == key }) {
      metadata[place].value = value
    } else {
      metadata.append((key, value))
    }
  }

  /// Announces a tensor; its data will be asked for in the order of announcement.
  ///
  /// - Parameters:
  ///   - name: unique in the file.
  ///   - type: how its elements are stored.
  ///   - shape: slowest axis first, 1 to 4 axes.
  /// - Throws: `ModelFileError` if no file may hold such a tensor.
  public mutating func declare(_ name: String, type: TensorType, shape: [Int]) throws(ModelFileError) {
    guard (1...4).contains(shape.count), let byteCount = TensorView.byteCount(type: type, shape: shape) else {
      throw ModelFileError(
        .badShape, path: "", field: "tensor \(name) shape", "\(shape) is not possible for \(type.name)")
    }
    guard !tensors.contains(where: { $0.name == name }) else {
      throw ModelFileError(.duplicateName, path: "", field: "tensor \(name)", "it was declared before")
    }
    tensors.append(Declaration(name: name, type: type, shape: shape, byteCount: byteCount))
  }

  private func padded(_ count: Int) -> Int { (count + alignment - 1) & ~(alignment - 1) }

  /// Everything before the tensor data, padded to the alignment.
  ///
  /// - Returns: the bytes.
  /// - Throws: `ModelFileError` if an array mixes kinds of values.
  public func header() throws(ModelFileError) -> [UInt8] {
    var bytes = GGUFBytes()
    bytes.append(GGUFFile.magic)
    bytes.append(UInt32(3))
    bytes.append(UInt64(tensors.count))
    let writesAlignment = alignment != GGUFFile.defaultAlignment
    let values = metadata.filter { $0.key != "general.alignment" }
    bytes.append(UInt64(values.count + (writesAlignment ? 1 : 0)))
    if writesAlignment {
      bytes.append(text: "general.alignment")
      try bytes.append(.uint32(UInt32(alignment)), key: "general.alignment")
    }
    for (key, value) in values {
      bytes.append(text: key)
      try bytes.append(value, key: key)
    }
    var offset = 0
    for tensor in tensors {
      bytes.append(text: tensor.name)
      bytes.append(UInt32(tensor.shape.count))
      for axis in tensor.shape.reversed() { bytes.append(UInt64(axis)) }
      bytes.append(tensor.type.rawValue)
      bytes.append(UInt64(offset))
      offset += padded(tensor.byteCount)
    }
    bytes.pad(to: alignment)
    return bytes.bytes
  }

  /// Where the data of one tensor goes; pieces may be of any size.
  public typealias Sink = (UnsafeRawBufferPointer) throws(ModelFileError) -> Void

  /// Writes the file. It appears under its name only when it is complete.
  ///
  /// - Parameters:
  ///   - path: the file; replaced if it exists.
  ///   - data: called once per tensor; must hand exactly `byteCount` bytes to the sink.
  /// - Throws: `ModelFileError` if the file cannot be written, and whatever `data` throws.
  public func write(
    to path: String, data: (Declaration, Sink) throws(ModelFileError) -> Void
  ) throws(ModelFileError) {
    let output = try OutputFile(path: path)
    let bytes = try header()
    try output.write(bytes)
    let padding = [UInt8](repeating: 0, count: alignment)
    for tensor in tensors {
      var written = 0
      try data(tensor) { piece throws(ModelFileError) in
        written += piece.count
        try output.write(piece)
      }
      precondition(written == tensor.byteCount, "\(tensor.name): \(written) of \(tensor.byteCount) bytes were given")
      try output.write(Array(padding.prefix(padded(written) - written)))
    }
    try output.finish()
  }

  /// The whole file in memory; for small ones.
  ///
  /// - Parameter data: returns exactly `byteCount` bytes for each tensor.
  /// - Returns: the file's bytes.
  /// - Throws: `ModelFileError` if an array mixes kinds of values.
  public func bytes(data: (Declaration) -> [UInt8]) throws(ModelFileError) -> [UInt8] {
    var bytes = try header()
    for tensor in tensors {
      let piece = data(tensor)
      precondition(piece.count == tensor.byteCount, "\(tensor.name): wrong byte count")
      bytes += piece
      bytes += [UInt8](repeating: 0, count: padded(piece.count) - piece.count)
    }
    return bytes
  }
}

/// The header's primitive values, little-endian.
private struct GGUFBytes {
  var bytes: [UInt8] = []

  mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func append(text: String) {
    append(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  mutating func pad(to alignment: Int) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }

  mutating func append(_ value: MetadataValue, key: String) throws(ModelFileError) {
    append(Self.type(of: value).rawValue)
    try appendPayload(value, key: key)
  }

  private static func type(of value: MetadataValue) -> MetadataType {
    switch value {
    case .uint8: .uint8
    case .int8: .int8
    case .uint16: .uint16
    case .int16: .int16
    case .uint32: .uint32
    case .int32: .int32
    case .uint64: .uint64
    case .int64: .int64
    case .float32: .float32
    case .float64: .float64
    case .bool: .bool
    case .string: .string
    case .array, .strings, .floats, .ints: .array
    }
  }

  private mutating func appendPayload(_ value: MetadataValue, key: String) throws(ModelFileError) {
    switch value {
    case .uint8(let number): append(number)
    case .int8(let number): append(number)
    case .uint16(let number): append(number)
    case .int16(let number): append(number)
    case .uint32(let number): append(number)
    case .int32(let number): append(number)
    case .uint64(let number): append(number)
    case .int64(let number): append(number)
    case .float32(let number): append(number.bitPattern)
    case .float64(let number): append(number.bitPattern)
    case .bool(let flag): append(UInt8(flag ? 1 : 0))
    case .string(let text): append(text: text)
    case .array(let items): try appendArray(items, key: key)
    case .strings(let items):
      open(.string, count: items.count)
      for item in items {
        append(UInt64(item.count))
        bytes.append(contentsOf: item)
      }
    case .floats(let items):
      open(.float32, count: items.count)
      for item in items { append(item.bitPattern) }
    case .ints(let items):
      if items.allSatisfy({ Int32(exactly: $0) != nil }) {
        open(.int32, count: items.count)
        for item in items { append(Int32(truncatingIfNeeded: item)) }
      } else {
        open(.int64, count: items.count)
        for item in items { append(item) }
      }
    }
  }

  private mutating func open(_ type: MetadataType, count: Int) {
    append(type.rawValue)
    append(UInt64(count))
  }

  private mutating func appendArray(_ items: [MetadataValue], key: String) throws(ModelFileError) {
    let type = items.first.map(Self.type(of:)) ?? .int32
    guard items.allSatisfy({ Self.type(of: $0) == type }) else {
      throw ModelFileError(.badValue, path: "", field: "metadata \(key)", "an array must hold values of one type")
    }
    open(type, count: items.count)
    for item in items { try appendPayload(item, key: key) }
  }
}
