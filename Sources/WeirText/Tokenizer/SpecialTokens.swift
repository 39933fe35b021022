// Finding special tokens in text: the leftmost, and of those the longest.
import WeirBasics

/// A trie over the spellings of tokens that are recognised as a whole.
struct SpecialTokens: Sendable {
  struct Match {
    var token: TokenID
    var range: Range<Int>
  }

  private var children: [UInt32: Int32] = [:]
  private var tokens: [Int32] = [-1]
  private var startsToken = [Bool](repeating: false, count: 256)
  private let surroundings: [TokenID: TokenizerVocabulary.Surroundings]

  var isEmpty: Bool { tokens.count == 1 }

  init(_ spellings: [(token: TokenID, bytes: [UInt8])], _ surroundings: [TokenID: TokenizerVocabulary.Surroundings]) {
    self.surroundings = surroundings
    for (token, bytes) in spellings where !bytes.isEmpty {
      startsToken[Int(bytes[0])] = true
      var vertex: Int32 = 0
      for byte in bytes {
        let key = UInt32(vertex) << 8 | UInt32(byte)
        if let next = children[key] {
          vertex = next
        } else {
          tokens.append(-1)
          vertex = Int32(tokens.count - 1)
          children[key] = vertex
        }
      }
      if tokens[Int(vertex)] < 0 { tokens[Int(vertex)] = Int32(bitPattern: token.rawValue) }
    }
  }

  /// First match at or after `start`, extended by the white space it swallows (never before `start`).
  func first(in bytes: [UInt8], from start: Int) -> Match? {
    var i = start
    while i < bytes.count {
      if startsToken[Int(bytes[i])], let match = longest(in: bytes, at: i, from: start) { return match }
      i += 1
    }
    return nil
  }

  private func longest(in bytes: [UInt8], at i: Int, from start: Int) -> Match? {
    var vertex: Int32 = 0
    var best: Match?
    for k in i..<bytes.count {
      guard let next = children[UInt32(vertex) << 8 | UInt32(bytes[k])] else { break }
      vertex = next
      let token = tokens[Int(vertex)]
      if token >= 0 { best = Match(token: TokenID(UInt32(bitPattern: token)), range: i..<(k + 1)) }
    }
    guard let found = best, let rule = surroundings[found.token] else { return best }
    return apply(rule, to: found, in: bytes, from: start)
  }

  private func apply(
    _ rule: TokenizerVocabulary.Surroundings, to match: Match, in bytes: [UInt8], from start: Int
  ) -> Match? {
    var low = match.range.lowerBound
    var high = match.range.upperBound
    if rule.isSingleWord {
      if low > 0, isWordByte(bytes[low - 1]) { return nil }
      if high < bytes.count, isWordByte(bytes[high]) { return nil }
    }
    if rule.takesSpaceBefore { while low > start, isSpaceByte(bytes[low - 1]) { low -= 1 } }
    if rule.takesSpaceAfter { while high < bytes.count, isSpaceByte(bytes[high]) { high += 1 } }
    return Match(token: match.token, range: low..<high)
  }

  private func isSpaceByte(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 9 && byte <= 13) }

  /// Bytes above ASCII count as parts of words.
  private func isWordByte(_ byte: UInt8) -> Bool {
    byte >= 0x80 || byte == 0x5F || WordScanner.isASCIILetter(UInt32(byte)) || (byte >= 0x30 && byte <= 0x39)
  }
}
