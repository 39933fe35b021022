// A SentencePiece-style vocabulary of made-up syllables that tokenises any text.

/// Pieces, scores and kinds as GGUF stores them: 3 special tokens, 256 bytes, single characters, then pieces that each
/// join two earlier ones, so that the merges of byte-pair encoding reach all of them.
struct RandomVocabulary {
  private(set) var pieces: [String] = []
  private(set) var scores: [Float] = []
  /// ggml's token types: 1 normal, 2 unknown, 3 control, 6 byte.
  private(set) var kinds: [Int64] = []

  /// The mark that stands for a space.
  static let space = "\u{2581}"
  /// Special tokens, bytes, the space mark and printable ASCII.
  static let smallestSize = 3 + 256 + 1 + 94

  private var known: Set<String> = []
  private let size: Int

  /// Makes `size` entries, at least `smallestSize`.
  init(size: Int) {
    precondition(size >= Self.smallestSize, "a vocabulary has at least \(Self.smallestSize) entries")
    self.size = size
    append("<unk>", kind: 2, score: 0)
    append("<s>", kind: 3, score: 0)
    append("</s>", kind: 3, score: 0)
    let digits = Array("0123456789ABCDEF")
    for byte in 0..<256 { append("<0x\(digits[byte / 16])\(digits[byte % 16])>", kind: 6, score: 0) }
    for piece in [Self.space] + (0x21...0x7E).map({ String(UnicodeScalar(UInt8($0))) }) { add(piece) }
    addSyllables()
    // With every product of syllables used up, numbered pieces of digits fill the rest.
    var number = 10
    while pieces.count < size {
      add(String(number))
      number += 1
    }
  }

  private mutating func append(_ piece: String, kind: Int64, score: Float) {
    pieces.append(piece)
    kinds.append(kind)
    scores.append(score)
  }

  /// Adds a normal piece unless it is there or the vocabulary is full. Earlier pieces score higher: they merge first.
  private mutating func add(_ piece: String) {
    guard pieces.count < size, known.insert(piece).inserted else { return }
    append(piece, kind: 1, score: -Float(pieces.count - 259))
  }

  private mutating func addSyllables() {
    let letters = "etaoinshrdlcumwfgypbvkjxqz".map(String.init)
    let vowels = ["e", "a", "o", "i", "u"]
    let consonants = letters.filter { !vowels.contains($0) }
    let open = consonants.flatMap { first in vowels.map { first + $0 } }
    for piece in open { add(piece) }
    for first in letters { for second in letters { add(first + second) } }
    for letter in letters { add(Self.space + letter) }
    for piece in open { add(Self.space + piece) }
    for piece in open { for last in consonants { add(piece + last) } }
    for piece in open { for last in consonants { add(Self.space + piece + last) } }
    for first in open { for second in open { add(first + second) } }
    for first in open { for second in open { add(Self.space + first + second) } }
    for first in open {
      for second in open { for last in consonants where pieces.count < size { add(first + second + last) } }
    }
  }
}
