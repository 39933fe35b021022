// MessagePack, as much of it as KV events need. Source: the format's specification (msgpack.org).

/// Writes values one after another; the caller counts what it announces.
struct MessagePack {
  private(set) var bytes: [UInt8] = []

  private mutating func big(_ value: UInt64, bytes count: Int) {
    for place in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(place)))) }
  }

  mutating func null() { bytes.append(0xC0) }

  mutating func unsigned(_ value: UInt64) {
    switch value {
    case 0..<0x80: bytes.append(UInt8(value))
    case 0x80...0xFF:
      bytes.append(0xCC)
      big(value, bytes: 1)
    case 0x100...0xFFFF:
      bytes.append(0xCD)
      big(value, bytes: 2)
    case 0x1_0000...0xFFFF_FFFF:
      bytes.append(0xCE)
      big(value, bytes: 4)
    default:
      bytes.append(0xCF)
      big(value, bytes: 8)
    }
  }

  mutating func double(_ value: Double) {
    bytes.append(0xCB)
    big(value.bitPattern, bytes: 8)
  }

  mutating func text(_ value: String) {
    let utf8 = Array(value.utf8)
    switch utf8.count {
    case 0..<32: bytes.append(0xA0 | UInt8(utf8.count))
    case 32..<0x100:
      bytes.append(0xD9)
      big(UInt64(utf8.count), bytes: 1)
    default:
      bytes.append(0xDB)
      big(UInt64(utf8.count), bytes: 4)
    }
    bytes += utf8
  }

  mutating func binary(_ value: [UInt8]) {
    bytes.append(value.count < 0x100 ? 0xC4 : 0xC6)
    big(UInt64(value.count), bytes: value.count < 0x100 ? 1 : 4)
    bytes += value
  }

  /// Announces `count` values.
  mutating func array(_ count: Int) {
    if count < 16 {
      bytes.append(0x90 | UInt8(count))
    } else {
      bytes.append(0xDD)
      big(UInt64(count), bytes: 4)
    }
  }

  /// Announces `count` keys, each followed by its value.
  mutating func map(_ count: Int) {
    precondition(count < 16, "an event has fewer than 16 fields")
    bytes.append(0x80 | UInt8(count))
  }
}
