// Telling a model's reasoning from its answer, in text that arrives in deltas.

/// What a stretch of generated text is: thinking aloud or the answer.
public enum ReasoningPiece: Sendable, Equatable {
  case reasoning(String)
  case content(String)
}

/// Splits `<think>...</think>answer`. White space around the markers is dropped; the pieces joined by kind do not
/// depend on how the text was cut into deltas.
public struct ReasoningParser: Sendable {
  private var state: State
  private var held: [UInt8] = []
  private let open: [UInt8]
  private let close: [UInt8]

  private enum State {
    /// Nothing but white space so far.
    case start
    case reasoning(hasText: Bool)
    case content(hasText: Bool)
  }

  /// - Parameters:
  ///   - startsInside: the prompt ended with the opening marker, so that the text begins with reasoning.
  ///   - open: the marker before reasoning.
  ///   - close: the marker after it.
  public init(startsInside: Bool = false, open: String = "<think>", close: String = "</think>") {
    state = startsInside ? .reasoning(hasText: false) : .start
    self.open = Array(open.utf8)
    self.close = Array(close.utf8)
  }

  /// Whether a prompt leaves the reasoning open.
  public static func startsInside(prompt: String) -> Bool {
    TemplateText.strip(String(decoding: prompt.utf8.suffix(64), as: UTF8.self), nil).hasSuffix("<think>")
  }

  public mutating func append(_ delta: String) -> [ReasoningPiece] {
    var reasoning: [UInt8] = []
    var content: [UInt8] = []
    for byte in delta.utf8 { take(byte, &reasoning, &content) }
    return Self.pieces(reasoning, content)
  }

  /// The rest: what was held back as a possible marker.
  public mutating func finish() -> [ReasoningPiece] {
    let rest = held
    held = []
    switch state {
    case .start: return Self.pieces([], rest)
    case .content(let hasText): return Self.pieces([], hasText ? rest : Self.withoutLeadingSpace(rest))
    case .reasoning: return Self.pieces(Self.withoutTrailingSpace(rest), [])
    }
  }

  private static func pieces(_ reasoning: [UInt8], _ content: [UInt8]) -> [ReasoningPiece] {
    var list: [ReasoningPiece] = []
    if !reasoning.isEmpty { list.append(.reasoning(String(decoding: reasoning, as: UTF8.self))) }
    if !content.isEmpty { list.append(.content(String(decoding: content, as: UTF8.self))) }
    return list
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }

  private static func withoutLeadingSpace(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.drop(while: isSpace)) }

  private static func withoutTrailingSpace(_ bytes: [UInt8]) -> [UInt8] {
    Array(bytes.prefix((bytes.lastIndex { !isSpace($0) } ?? -1) + 1))
  }

  private mutating func take(_ byte: UInt8, _ reasoning: inout [UInt8], _ content: inout [UInt8]) {
    switch state {
    case .start:
      held.append(byte)
      let text = Self.withoutLeadingSpace(held)
      if text == open {
        held = []
        state = .reasoning(hasText: false)
      } else if !open.starts(with: text) {
        content += held
        held = []
        state = .content(hasText: true)
      }
    case .reasoning(let hasText):
      if !hasText, held.isEmpty, Self.isSpace(byte) { return }
      held.append(byte)
      let marker = ToolCallParser.overlap(held, close)
      if marker == close.count {
        reasoning += Self.withoutTrailingSpace(Array(held.dropLast(marker)))
        held = []
        state = .content(hasText: false)
        return
      }
      // White space before a possible marker waits, too.
      let ready = Self.withoutTrailingSpace(Array(held.dropLast(marker)))
      if ready.isEmpty { return }
      reasoning += ready
      held.removeFirst(ready.count)
      state = .reasoning(hasText: true)
    case .content(let hasText):
      if !hasText, Self.isSpace(byte) { return }
      state = .content(hasText: true)
      content.append(byte)
    }
  }
}
