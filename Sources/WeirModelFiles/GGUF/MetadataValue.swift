// The values of a GGUF header.

/// One metadata value. Scalars keep their stored type; arrays of numbers or strings are packed.
public enum MetadataValue: Sendable, Equatable {
  case uint8(UInt8)
  case int8(Int8)
  case uint16(UInt16)
  case int16(Int16)
  case uint32(UInt32)
  case int32(Int32)
  case uint64(UInt64)
  case int64(Int64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  case string(String)
  /// Arrays of arrays, of booleans, of doubles, and of unsigned integers beyond `Int64`.
  case array([MetadataValue])
  /// Arrays of strings, as bytes.
  case strings(PackedStrings)
  /// Arrays of 32-bit floats.
  case floats([Float])
  /// Arrays of integers of any stored width.
  case ints([Int64])
}

extension MetadataValue {
  /// A whole number of any stored width; also a float without a fraction.
  public var intValue: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(value)
    case .float32(let value): Int(exactly: value)
    case .float64(let value): Int(exactly: value)
    default: nil
    }
  }

  /// Any number.
  public var doubleValue: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    case .uint64(let value): Double(value)
    default: intValue.map(Double.init)
    }
  }

  public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// Any array, element by element; O(n) for packed ones.
  public var arrayValue: [MetadataValue]? {
    switch self {
    case .array(let items): items
    case .strings(let items): items.indices.map { .string(items.text($0)) }
    case .floats(let items): items.map { .float32($0) }
    case .ints(let items): items.map { .int64($0) }
    default: nil
    }
  }

  /// An array of strings as bytes; an empty array of any kind is an empty list.
  public var stringsValue: PackedStrings? {
    if case .strings(let items) = self { return items }
    return elementCount == 0 ? PackedStrings() : nil
  }

  /// An array of numbers as floats.
  public var floatsValue: [Float]? {
    switch self {
    case .floats(let items): items
    case .ints(let items): items.map { Float($0) }
    case .array(let items):
      items.allSatisfy { $0.doubleValue != nil } ? items.compactMap { $0.doubleValue.map { Float($0) } } : nil
    default: nil
    }
  }

  /// An array of whole numbers.
  public var intsValue: [Int]? {
    switch self {
    case .ints(let items): items.map { Int($0) }
    case .floats, .array:
      arrayValue.flatMap { items in
        items.allSatisfy { $0.intValue != nil } ? items.compactMap(\.intValue) : nil
      }
    default: nil
    }
  }

  /// Number of elements of an array; nil for scalars.
  public var elementCount: Int? {
    switch self {
    case .array(let items): items.count
    case .strings(let items): items.count
    case .floats(let items): items.count
    case .ints(let items): items.count
    default: nil
    }
  }
}

/// GGUF's numbers for value types.
enum MetadataType: UInt32 {
  case uint8 = 0
  case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// Bytes that one value takes at least: an upper bound for counts in hostile files.
  var smallestBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }
}
