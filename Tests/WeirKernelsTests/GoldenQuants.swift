import Foundation
import WeirBasics

// Reads Tests/Golden/quants.txt (made by quants.py).

/// Random stored blocks of one type and the values that the `gguf` package reads from them.
struct GoldenQuants {
  let type: TensorType
  let bytes: [UInt8]
  let values: [Float]

  static func load() throws -> [GoldenQuants] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden/quants.txt")
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " ")
      guard parts.count == 3, let type = TensorType(name: String(parts[0])) else { return nil }
      let words = hexBytes(parts[2])
      let values = stride(from: 0, to: words.count, by: 4).map { at in
        Float(bitPattern: words[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) })
      }
      return GoldenQuants(type: type, bytes: hexBytes(parts[1]), values: values)
    }
  }

  private static func hexBytes(_ text: Substring) -> [UInt8] {
    let digits = Array(text.utf8).map { $0 <= 57 ? $0 - 48 : $0 - 87 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}
