// Writing JSON.

extension JSONValue {
  /// The value as JSON text. Numbers that JSON cannot hold (NaN, infinities) become `null`.
  ///
  /// - Parameters:
  ///   - sortedKeys: whether members are ordered by the bytes of their keys instead of their own order.
  ///   - spaces: whether a space follows `,` and `:`, as Python's `json.dumps` writes.
  ///   - indent: spaces per level for text over several lines; nil for one line.
  ///   - ascii: whether everything beyond ASCII is escaped.
  /// - Returns: the text.
  public func serialized(
    sortedKeys: Bool = false, spaces: Bool = false, indent: Int? = nil, ascii: Bool = false
  ) -> String {
    let bytes = serializedBytes(sortedKeys: sortedKeys, spaces: spaces, indent: indent, ascii: ascii)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The same as `serialized`, as UTF-8 bytes.
  ///
  /// - Parameters:
  ///   - sortedKeys: whether members are ordered by the bytes of their keys instead of their own order.
  ///   - spaces: whether a space follows `,` and `:`.
  ///   - indent: spaces per level for text over several lines; nil for one line.
  ///   - ascii: whether everything beyond ASCII is escaped.
  /// - Returns: the text's bytes.
  public func serializedBytes(
    sortedKeys: Bool = false, spaces: Bool = false, indent: Int? = nil, ascii: Bool = false
  ) -> [UInt8] {
    var writer = JSONWriter(sortedKeys: sortedKeys, spaces: spaces, indent: indent, ascii: ascii)
    writer.write(self)
    return writer.bytes
  }

  /// The string as JSON text with its quotes.
  ///
  /// - Parameter text: any string.
  /// - Returns: the quoted and escaped text.
  public static func quoted(_ text: String) -> String { JSONValue.string(text).serialized() }
}

struct JSONWriter {
  let sortedKeys: Bool
  let spaces: Bool
  let indent: Int?
  let ascii: Bool
  private(set) var bytes: [UInt8] = []
  private var level = 0

  init(sortedKeys: Bool, spaces: Bool, indent: Int?, ascii: Bool) {
    self.sortedKeys = sortedKeys
    self.spaces = spaces
    self.indent = indent
    self.ascii = ascii
  }

  mutating func write(_ value: JSONValue) {
    switch value {
    case .null: write("null")
    case .bool(let flag): write(flag ? "true" : "false")
    case .integer(let number): write(String(number))
    case .number(let number): write(number.isFinite ? number.description : "null")
    case .string(let text): writeQuoted(text)
    case .array(let items):
      writeList(open: "[", close: "]", count: items.count) { writer, place in writer.write(items[place]) }
    case .object(let object): write(object)
    }
  }

  private mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func write(_ object: JSONObject) {
    var order = Array(0..<object.count)
    if sortedKeys { order.sort { object.keys[$0].utf8.lexicographicallyPrecedes(object.keys[$1].utf8) } }
    writeList(open: "{", close: "}", count: object.count) { writer, place in
      writer.writeQuoted(object.keys[order[place]])
      writer.write(writer.spaces || writer.indent != nil ? ": " : ":")
      writer.write(object.values[order[place]])
    }
  }

  private mutating func writeList(
    open: String, close: String, count: Int, _ item: (inout JSONWriter, _ place: Int) -> Void
  ) {
    write(open)
    level += 1
    for place in 0..<count {
      if place > 0 { write(spaces && indent == nil ? ", " : ",") }
      breakLine()
      item(&self, place)
    }
    level -= 1
    if count > 0 { breakLine() }
    write(close)
  }

  private mutating func breakLine() {
    guard let indent else { return }
    bytes.append(0x0A)
    bytes.append(contentsOf: repeatElement(0x20, count: indent * level))
  }

  private mutating func writeQuoted(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    if ascii && !text.utf8.allSatisfy({ $0 < 0x80 }) {
      for unit in text.utf16 { if unit < 0x80 { writeEscaped(UInt8(unit)) } else { writeHex(unit) } }
    } else {
      for byte in text.utf8 { writeEscaped(byte) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func writeEscaped(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): write("\\\"")
    case UInt8(ascii: "\\"): write("\\\\")
    case 0x08: write("\\b")
    case 0x09: write("\\t")
    case 0x0A: write("\\n")
    case 0x0C: write("\\f")
    case 0x0D: write("\\r")
    case 0..<0x20: writeHex(UInt16(byte))
    default: bytes.append(byte)
    }
  }

  private mutating func writeHex(_ unit: UInt16) {
    let digits = Array("0123456789abcdef".utf8)
    write("\\u")
    for shift in [12, 8, 4, 0] { bytes.append(digits[Int(unit >> UInt16(shift)) & 15]) }
  }
}
