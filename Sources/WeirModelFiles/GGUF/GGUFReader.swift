// Reads GGUF's primitive values; every read is checked against the end of the file.

struct GGUFReader {
  let file: MappedFile
  private(set) var offset = 0

  init(file: MappedFile) { self.file = file }

  var path: String { file.path }
  var remaining: Int { file.bytes.count - offset }

  func error(_ reason: ModelFileError.Reason, _ field: String, _ detail: String) -> ModelFileError {
    ModelFileError(reason, path: path, field: field, detail)
  }

  private func truncated(_ field: String, wanted: UInt64) -> ModelFileError {
    error(.truncated, field, "it needs \(wanted) bytes at offset \(offset), but the file has \(remaining) left")
  }

  mutating func integer<T: FixedWidthInteger>(_ type: T.Type, _ field: String) throws(ModelFileError) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw truncated(field, wanted: UInt64(size)) }
    defer { offset += size }
    return T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// A 64-bit count of things that take at least `smallestBytes` each.
  mutating func count(_ field: String, smallestBytes: Int) throws(ModelFileError) -> Int {
    let value = try integer(UInt64.self, field)
    guard value <= UInt64(remaining / smallestBytes) else {
      throw error(.badCount, field, "\(value) entries cannot fit in the \(remaining) bytes that are left")
    }
    return Int(value)
  }

  mutating func byteString(_ field: String) throws(ModelFileError) -> UnsafeRawBufferPointer {
    let length = try integer(UInt64.self, field)
    guard length <= UInt64(remaining) else { throw truncated(field, wanted: length) }
    defer { offset += Int(length) }
    return UnsafeRawBufferPointer(rebasing: file.bytes[offset..<(offset + Int(length))])
  }

  mutating func text(_ field: String) throws(ModelFileError) -> String {
    let bytes = try byteString(field)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw error(.badText, field, "it must be UTF-8")
    }
    return text
  }

  private mutating func valueType(_ field: String) throws(ModelFileError) -> MetadataType {
    let number = try integer(UInt32.self, field)
    guard let type = MetadataType(rawValue: number) else {
      throw error(.unsupportedType, field, "\(number) is no metadata type; types are 0 to 12")
    }
    return type
  }

  mutating func value(_ field: String) throws(ModelFileError) -> MetadataValue {
    let type = try valueType(field)
    return try value(of: type, field, depth: 0)
  }

  private mutating func value(of type: MetadataType, _ field: String, depth: Int) throws(ModelFileError)
    -> MetadataValue
  {
    switch type {
    case .uint8: return .uint8(try integer(UInt8.self, field))
    case .int8: return .int8(try integer(Int8.self, field))
    case .uint16: return .uint16(try integer(UInt16.self, field))
    case .int16: return .int16(try integer(Int16.self, field))
    case .uint32: return .uint32(try integer(UInt32.self, field))
    case .int32: return .int32(try integer(Int32.self, field))
    case .uint64: return .uint64(try integer(UInt64.self, field))
    case .int64: return .int64(try integer(Int64.self, field))
    case .float32: return .float32(Float(bitPattern: try integer(UInt32.self, field)))
    case .float64: return .float64(Double(bitPattern: try integer(UInt64.self, field)))
    case .bool:
      let byte = try integer(UInt8.self, field)
      guard byte <= 1 else { throw error(.badValue, field, "a boolean must be 0 or 1, not \(byte)") }
      return .bool(byte == 1)
    case .string: return .string(try text(field))
    case .array: return try array(field, depth: depth + 1)
    }
  }

  /// Arrays may nest; nobody needs more than this.
  private static let depthLimit = 8

  private mutating func array(_ field: String, depth: Int) throws(ModelFileError) -> MetadataValue {
    guard depth <= Self.depthLimit else {
      throw error(.badValue, field, "arrays may be nested at most \(Self.depthLimit) deep")
    }
    let type = try valueType(field)
    let count = try count(field, smallestBytes: type.smallestBytes)
    switch type {
    case .string: return try strings(field, count: count)
    case .float32:
      return .floats(
        try list(count) { reader throws(ModelFileError) in
          Float(bitPattern: try reader.integer(UInt32.self, field))
        })
    case .uint8: return .ints(try integers(UInt8.self, field, count))
    case .int8: return .ints(try integers(Int8.self, field, count))
    case .uint16: return .ints(try integers(UInt16.self, field, count))
    case .int16: return .ints(try integers(Int16.self, field, count))
    case .uint32: return .ints(try integers(UInt32.self, field, count))
    case .int32: return .ints(try integers(Int32.self, field, count))
    case .int64: return .ints(try integers(Int64.self, field, count))
    case .uint64:
      let values = try list(count) { reader throws(ModelFileError) in try reader.integer(UInt64.self, field) }
      let narrow = values.compactMap { Int64(exactly: $0) }
      return narrow.count == values.count ? .ints(narrow) : .array(values.map { .uint64($0) })
    case .bool, .float64, .array:
      return .array(
        try list(count) { reader throws(ModelFileError) in
          try reader.value(of: type, field, depth: depth)
        })
    }
  }

  private mutating func integers<T: FixedWidthInteger>(
    _ type: T.Type, _ field: String, _ count: Int
  ) throws(ModelFileError) -> [Int64] {
    try list(count) { reader throws(ModelFileError) in Int64(truncatingIfNeeded: try reader.integer(type, field)) }
  }

  private mutating func list<T>(
    _ count: Int, _ item: (inout GGUFReader) throws(ModelFileError) -> T
  ) throws(ModelFileError) -> [T] {
    var items: [T] = []
    items.reserveCapacity(count)
    for _ in 0..<count { items.append(try item(&self)) }
    return items
  }

  private mutating func strings(_ field: String, count: Int) throws(ModelFileError) -> MetadataValue {
    var items = PackedStrings()
    items.reserve(entries: count)
    for _ in 0..<count { items.append(try byteString(field)) }
    return .strings(items)
  }
}
