// Little-endian bytes in and out: what every message of this room is written with.

public import WeirBasics

/// What is wrong with bytes that came from another node.
public enum MessageFault: WeirError, Hashable {
  /// The bytes end inside a value.
  case truncated
  /// Bytes are left after the last value.
  case trailingBytes(Int)
  case unknownKind(UInt8)
  /// A value that no sound node sends; the name of the field.
  case invalid(String)
  /// A count or length above its limit; the name of the field.
  case tooLarge(String)

  public var code: String { "kv_message_fault" }

  public var message: String {
    switch self {
    case .truncated: "a message of another node ends inside a value"
    case .trailingBytes(let count): "a message of another node has \(count) bytes after its end"
    case .unknownKind(let kind): "a message of another node has the unknown kind \(kind)"
    case .invalid(let field): "the field \(field) of another node's message cannot be"
    case .tooLarge(let field): "the field \(field) of another node's message is above its limit"
    }
  }
}

/// Appends values to a byte array, little-endian.
struct ByteWriter {
  private(set) var bytes: [UInt8] = []

  mutating func put(_ value: UInt8) { bytes.append(value) }

  mutating func put<Value: FixedWidthInteger>(_ value: Value) {
    for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(shift)))
    }
  }

  /// A count as 32 bits.
  mutating func put(count: Int) { put(UInt32(count)) }

  mutating func put(_ value: Double) { put(value.bitPattern) }

  /// Length and bytes.
  mutating func put(_ value: [UInt8]) {
    put(count: value.count)
    bytes += value
  }

  mutating func put(_ value: String) { put(Array(value.utf8)) }
}

/// Reads values from bytes of another node; every limit is checked before memory is taken.
struct ByteReader {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var remaining: Int { bytes.count - place }

  mutating func byte() throws(MessageFault) -> UInt8 {
    guard place < bytes.count else { throw .truncated }
    defer { place += 1 }
    return bytes[place]
  }

  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(MessageFault) -> Value {
    guard remaining >= Value.bitWidth / 8 else { throw .truncated }
    var value: Value = 0
    for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
      value |= Value(truncatingIfNeeded: bytes[place]) << Value(shift)
      place += 1
    }
    return value
  }

  /// A 32-bit count of at most `limit`.
  mutating func count(_ field: String, limit: Int) throws(MessageFault) -> Int {
    let value = Int(try integer(UInt32.self))
    guard value <= limit else { throw .tooLarge(field) }
    return value
  }

  mutating func double(_ field: String) throws(MessageFault) -> Double {
    let value = Double(bitPattern: try integer())
    guard value.isFinite else { throw .invalid(field) }
    return value
  }

  mutating func array(_ field: String, limit: Int) throws(MessageFault) -> [UInt8] {
    let length = try count(field, limit: limit)
    guard remaining >= length else { throw .truncated }
    defer { place += length }
    return Array(bytes[place..<(place + length)])
  }

  mutating func string(_ field: String, limit: Int) throws(MessageFault) -> String {
    let data = try array(field, limit: limit)
    guard let text = String(validating: data, as: UTF8.self) else { throw .invalid(field) }
    return text
  }

  /// Ends the reading: nothing may be left.
  func finish() throws(MessageFault) {
    guard remaining == 0 else { throw .trailingBytes(remaining) }
  }
}
