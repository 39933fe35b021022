// Text prepared for the pre-tokenizer scanners: one class per Unicode scalar.

/// Classes of one scalar, as the published patterns speak of them (`\p{L}`, `\p{N}`, `\s`, ...).
struct ScalarClass: OptionSet, Sendable {
  let rawValue: UInt8
  static let letter = ScalarClass(rawValue: 1)
  static let number = ScalarClass(rawValue: 2)
  static let space = ScalarClass(rawValue: 4)
  static let mark = ScalarClass(rawValue: 8)
  static let punctuation = ScalarClass(rawValue: 16)
  static let symbol = ScalarClass(rawValue: 32)
  /// Upper or title case letters.
  static let upper = ScalarClass(rawValue: 64)
  static let lower = ScalarClass(rawValue: 128)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init(of scalar: Unicode.Scalar) {
    let properties = scalar.properties
    var kinds: ScalarClass = properties.isWhitespace ? .space : []
    switch properties.generalCategory {
    case .uppercaseLetter, .titlecaseLetter: kinds.insert([.letter, .upper])
    case .lowercaseLetter: kinds.insert([.letter, .lower])
    case .modifierLetter, .otherLetter: kinds.insert(.letter)
    case .decimalNumber, .letterNumber, .otherNumber: kinds.insert(.number)
    case .nonspacingMark, .spacingMark, .enclosingMark: kinds.insert(.mark)
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      kinds.insert(.punctuation)
    case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: kinds.insert(.symbol)
    default: break
    }
    self = kinds
  }

  /// Classes of the whole basic plane, made once: property look-ups cost ten times an array read.
  static let basicPlane: [ScalarClass] = (0..<0x1_0000).map { value in
    Unicode.Scalar(UInt32(value)).map { ScalarClass(of: $0) } ?? []
  }
}

/// A text cut into scalars: value, class and byte offset of each (`offsets` has one more entry, the byte count).
struct ScalarText {
  private(set) var values: [UInt32] = []
  private(set) var classes: [ScalarClass] = []
  private(set) var offsets: [Int32] = []

  var count: Int { values.count }

  /// `bytes[range]` must be valid UTF-8; offsets are absolute in `bytes`.
  init(_ bytes: [UInt8], _ range: Range<Int>) {
    values.reserveCapacity(range.count)
    classes.reserveCapacity(range.count)
    offsets.reserveCapacity(range.count + 1)
    let plane = ScalarClass.basicPlane
    var i = range.lowerBound
    while i < range.upperBound {
      let (value, length) = decodeScalar(bytes, at: i, end: range.upperBound)
      values.append(value)
      if value < 0x1_0000 {
        classes.append(plane[Int(value)])
      } else {
        classes.append(Unicode.Scalar(value).map { ScalarClass(of: $0) } ?? [])
      }
      offsets.append(Int32(i))
      i += length
    }
    offsets.append(Int32(range.upperBound))
  }
}

/// Scalar at `i` of valid UTF-8; a byte that starts nothing valid counts as U+FFFD of length 1.
@inline(__always)
func decodeScalar(_ bytes: [UInt8], at i: Int, end: Int) -> (value: UInt32, length: Int) {
  let first = bytes[i]
  if first < 0x80 { return (UInt32(first), 1) }
  let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
  if length == 1 || i + length > end { return (0xFFFD, 1) }
  var value = UInt32(first) & (0x7F >> UInt32(length))
  for k in 1..<length { value = value << 6 | UInt32(bytes[i + k] & 0x3F) }
  return (value, length)
}
