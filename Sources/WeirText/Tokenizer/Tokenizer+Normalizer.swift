// Changes to the text that some tokenizers ask for before splitting.
@_spi(_Unicode) import Swift

extension Tokenizer {
  /// Applies the vocabulary's normalizer to `bytes[range]`.
  func normalised(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8] {
    var text = Array(bytes[range])
    for step in vocabulary.normalizer {
      switch step {
      case .nfc: text = Self.composed(text)
      case .lowercase: text = Array(String(decoding: text, as: UTF8.self).lowercased().utf8)
      case .prepend(let prefix): text = Array(prefix.utf8) + text
      case .replace(let old, let new): text = Self.replacing(Array(old.utf8), with: Array(new.utf8), in: text)
      }
    }
    return text
  }

  /// Canonical composition. Text below U+0300 is always composed already.
  private static func composed(_ bytes: [UInt8]) -> [UInt8] {
    if !bytes.contains(where: { $0 >= 0xCC }) { return bytes }
    var result = String.UnicodeScalarView()
    for scalar in String(decoding: bytes, as: UTF8.self)._nfc { result.append(scalar) }
    return Array(String(result).utf8)
  }

  static func replacing(_ old: [UInt8], with new: [UInt8], in bytes: [UInt8]) -> [UInt8] {
    if old.isEmpty { return bytes }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var i = 0
    while i < bytes.count {
      if bytes[i] == old[0], bytes.count - i >= old.count, bytes[i..<(i + old.count)].elementsEqual(old) {
        result.append(contentsOf: new)
        i += old.count
      } else {
        result.append(bytes[i])
        i += 1
      }
    }
    return result
  }
}
