// Finds stop strings in streamed text and holds back what may still become one.

/// Text in, text that is safe to send out. Works on UTF-8 bytes; a held-back part starts at a scalar boundary because
/// every stop string does.
struct StopMatcher {
  private let stops: [[UInt8]]
  private let includesStop: Bool
  private var held: [UInt8] = []
  private(set) var matched: String?

  init(stopStrings: [String], includesStop: Bool) {
    stops = stopStrings.filter { !$0.isEmpty }.map { Array($0.utf8) }
    self.includesStop = includesStop
  }

  /// Adds a delta and returns the text that can be sent; after a match only the text before it (or through it).
  mutating func append(_ delta: String) -> String {
    guard matched == nil else { return "" }
    guard !stops.isEmpty else { return delta }
    held.append(contentsOf: delta.utf8)
    for start in held.indices {
      guard let stop = stops.first(where: { held[start...].starts(with: $0) }) else { continue }
      matched = String(decoding: stop, as: UTF8.self)
      let end = includesStop ? start + stop.count : start
      defer { held = [] }
      return String(decoding: held[..<end], as: UTF8.self)
    }
    // Nothing found: hold the longest tail that may still grow into a stop string.
    let keep = held.indices.first { start in stops.contains { $0.starts(with: held[start...]) } } ?? held.endIndex
    defer { held = Array(held[keep...]) }
    return String(decoding: held[..<keep], as: UTF8.self)
  }

  /// What was held back and did not become a stop string.
  mutating func finish() -> String {
    defer { held = [] }
    return String(decoding: held, as: UTF8.self)
  }
}
