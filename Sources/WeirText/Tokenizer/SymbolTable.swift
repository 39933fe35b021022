// Symbols: what merging works on. The vocabulary's tokens, and after them what only occurs on the way.
import WeirBasics

/// Maps text to first symbols, merges them and maps the result to tokens.
struct SymbolTable: Sendable {
  /// Piece bytes (raw bytes for `byteLevel`, text with space marks otherwise) to symbol.
  private(set) var pieces: PieceTable
  private(set) var merges: MergeTable
  /// Symbol of each single byte (`byteLevel`), -1 if the vocabulary lacks it.
  private var byteSymbols = [Int32](repeating: -1, count: 256)
  /// Token of each `<0xNN>` piece, -1 if the vocabulary lacks it.
  private var byteTokens = [Int32](repeating: -1, count: 256)
  /// Bytes of the symbols beyond the vocabulary.
  private var extra = ByteArena()
  private let vocabularySize: Int
  private let spelling: TokenizerVocabulary.Spelling
  private let unknown: Int32

  init(_ vocabulary: TokenizerVocabulary) {
    vocabularySize = vocabulary.pieces.count
    spelling = vocabulary.spelling
    unknown = vocabulary.unknownToken.map { Int32(bitPattern: $0.rawValue) } ?? -1
    pieces = PieceTable(expecting: vocabulary.pieces.count)
    merges = MergeTable(expecting: 0)
    for (index, piece) in vocabulary.pieces.enumerated() {
      switch vocabulary.kinds[index] {
      case .normal, .userDefined: pieces.insert(decoded(piece), value: Int32(index))
      case .byte:
        if let byte = Self.byte(ofSpelling: piece) { byteTokens[Int(byte)] = Int32(index) }
      case .unknown, .control, .unused: break
      }
    }
    for byte in 0..<256 { byteSymbols[byte] = pieces.value([UInt8(byte)]) ?? -1 }
    switch vocabulary.mergeOrder {
    case .list(let list): addMerges(list)
    case .scores(let scores): addMerges(scores: scores, vocabulary)
    }
  }

  private func decoded(_ piece: [UInt8]) -> [UInt8] {
    spelling == .byteLevel ? ByteAlphabet.decode(piece) ?? piece : piece
  }

  /// `<0x0A>` to 10.
  static func byte(ofSpelling piece: [UInt8]) -> UInt8? {
    guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece[5] == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
  }

  private mutating func addMerges(_ list: [(left: [UInt8], right: [UInt8])]) {
    merges = MergeTable(expecting: list.count)
    for (rank, pair) in list.enumerated() {
      let left = decoded(pair.left)
      let right = decoded(pair.right)
      merges.insert(
        left: symbol(of: left), right: symbol(of: right), rank: UInt32(rank), merged: symbol(of: left + right))
    }
  }

  /// Every way to make a piece from two shorter symbols becomes a merge, ranked by the piece's score.
  private mutating func addMerges(scores: [Float], _ vocabulary: TokenizerVocabulary) {
    let order = vocabulary.pieces.indices.sorted { scores[$0] > scores[$1] }
    merges = MergeTable(expecting: vocabulary.pieces.count * 3)
    var rank: UInt32 = 0
    var previous: Float?
    for index in order {
      if let score = previous, score != scores[index] { rank += 1 }
      previous = scores[index]
      guard vocabulary.kinds[index] == .normal || vocabulary.kinds[index] == .userDefined else { continue }
      let piece = vocabulary.pieces[index]
      var cut = decodeScalarLength(piece, at: 0)
      while cut < piece.count {
        let left = known(piece, 0..<cut)
        let right = known(piece, cut..<piece.count)
        if let left, let right { merges.insert(left: left, right: right, rank: rank, merged: Int32(index)) }
        cut += decodeScalarLength(piece, at: cut)
      }
    }
  }

  private func decodeScalarLength(_ bytes: [UInt8], at i: Int) -> Int {
    i < bytes.count ? decodeScalar(bytes, at: i, end: bytes.count).length : 1
  }

  /// A piece, or a single character (which then gets a symbol although it is no token).
  private mutating func known(_ bytes: [UInt8], _ range: Range<Int>) -> Int32? {
    if let found = pieces.value(bytes, range) { return found }
    guard decodeScalarLength(bytes, at: range.lowerBound) == range.count else { return nil }
    return symbol(of: Array(bytes[range]))
  }

  private mutating func symbol(of bytes: [UInt8]) -> Int32 {
    if let found = pieces.value(bytes) { return found }
    let new = Int32(vocabularySize + extra.count)
    extra.append(bytes, 0..<bytes.count)
    pieces.insert(bytes, value: new)
    return new
  }

  /// The first symbols of a word: its bytes or its characters. -1 - byte stands for a byte without symbol.
  func appendSymbols(_ bytes: [UInt8], _ range: Range<Int>, to symbols: inout [Int32]) {
    if spelling == .byteLevel {
      for i in range {
        let symbol = byteSymbols[Int(bytes[i])]
        symbols.append(symbol >= 0 ? symbol : -2 - Int32(bytes[i]))
      }
      return
    }
    var i = range.lowerBound
    while i < range.upperBound {
      let (_, length) = decodeScalar(bytes, at: i, end: range.upperBound)
      if let symbol = pieces.value(bytes, i..<(i + length)) {
        symbols.append(symbol)
      } else {
        for k in i..<(i + length) { symbols.append(-2 - Int32(bytes[k])) }
      }
      i += length
    }
  }

  /// Tokens of merged symbols. What the vocabulary cannot spell becomes byte tokens, or else the unknown token, once
  /// for a run of such bytes.
  func appendTokens(_ symbols: ArraySlice<Int32>, to tokens: inout [TokenID]) {
    var lastWasUnknown = false
    for symbol in symbols {
      if symbol >= 0, Int(symbol) < vocabularySize {
        tokens.append(TokenID(UInt32(bitPattern: symbol)))
        lastWasUnknown = false
        continue
      }
      let bytes = symbol < 0 ? [UInt8(truncatingIfNeeded: -2 - symbol)] : extra[Int(symbol) - vocabularySize]
      for byte in bytes {
        let known =
          byteTokens[Int(byte)] >= 0 ? byteTokens[Int(byte)] : spelling == .byteLevel ? byteSymbols[Int(byte)] : -1
        if known >= 0, Int(known) < vocabularySize {
          tokens.append(TokenID(UInt32(bitPattern: known)))
          lastWasUnknown = false
        } else if unknown >= 0, !lastWasUnknown {
          tokens.append(TokenID(UInt32(bitPattern: unknown)))
          lastWasUnknown = true
        }
      }
    }
  }
}
