// Finding tool calls in text that arrives in deltas.

/// Splits generated text into content and tool calls. The pieces do not depend on how the text was cut into deltas,
/// apart from where content and argument deltas are cut.
///
/// What begins like a call and turns out not to be one is content. A call that the text breaks off is left unfinished:
/// its `callFinished` does not come.
public struct ToolCallParser: Sendable {
  public let format: ToolCallFormat
  private var state = State.content
  /// Bytes that may be the beginning of a marker.
  private var held: [UInt8] = []
  private var scanner = CallScanner()
  private var calls = 0
  /// Bytes of an opening marker, should the call turn out to be none.
  private var opening: [UInt8] = []
  /// Anything but white space has been passed on as content.
  private var hasContent = false
  private var isArray = false

  private enum State {
    case content, call, betweenCalls, afterCalls
  }

  public init(format: ToolCallFormat) { self.format = format }

  private static let marker = Array("<tool_call>".utf8)
  private static let closingMarker = Array("</tool_call>".utf8)
  private static let pythonTag = Array("<|python_tag|>".utf8)
  private static let mistralMarker = Array("[TOOL_CALLS]".utf8)

  /// The format in which the models of this template write calls, judged by the markers the template itself writes.
  public static func format(for template: ChatTemplate) -> ToolCallFormat {
    let source = template.source
    if source.contains("<tool_call>") { return .hermes }
    if source.contains("[TOOL_CALLS]") { return .mistral }
    if source.contains("<|python_tag|>") || source.contains("\"parameters\": ") { return .llama }
    return .hermes
  }

  public mutating func append(_ delta: String) -> [ToolStreamPiece] {
    if format == .none { return delta.isEmpty ? [] : [.content(delta)] }
    var output = Output()
    for byte in delta.utf8 { take(byte, &output) }
    return output.pieces()
  }

  /// The rest: what was held back as a possible marker is content after all.
  public mutating func finish() -> [ToolStreamPiece] {
    var output = Output()
    if state == .call, !scanner.hasStarted {
      output.content += opening + scanner.seen
    } else if state == .content {
      output.content += held
    }
    held = []
    opening = []
    scanner = CallScanner()
    state = .afterCalls
    return output.pieces()
  }

  // MARK: bytes

  private mutating func take(_ byte: UInt8, _ output: inout Output) {
    switch state {
    case .content: takeContent(byte, &output)
    case .call: takeCall(byte, &output)
    case .betweenCalls: takeBetween(byte, &output)
    case .afterCalls: takeAfter(byte, &output)
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }

  /// Markers that open a call; for `llama` and `plain` a bracket at the very beginning does, too.
  private var openers: [[UInt8]] {
    switch format {
    case .hermes: [Self.marker]
    case .llama: [Self.pythonTag]
    case .mistral: [Self.mistralMarker]
    case .plain, .none: []
    }
  }

  private mutating func takeContent(_ byte: UInt8, _ output: inout Output) {
    let opensHere = (format == .llama || format == .plain) && !hasContent && held.allSatisfy(Self.isSpace)
    if opensHere, byte == UInt8(ascii: "{") || (byte == UInt8(ascii: "[") && format == .plain) {
      open(held, byte, &output)
      return
    }
    if opensHere, Self.isSpace(byte) {
      held.append(byte)
      return
    }
    held.append(byte)
    release(&output)
  }

  /// Passes on what cannot be the beginning of a marker any more; opens a call when a marker is complete.
  private mutating func release(_ output: inout Output) {
    for opener in openers {
      let length = Self.overlap(held, opener)
      if length == opener.count {
        pass(held.dropLast(length), &output)
        held = []
        opening = opener
        scanner = CallScanner()
        isArray = false
        state = format == .mistral ? .betweenCalls : .call
        return
      }
      pass(held.dropLast(length), &output)
      held = Array(held.suffix(length))
    }
    if openers.isEmpty {
      pass(held[...], &output)
      held = []
    }
  }

  /// Length of the longest end of `bytes` that begins `marker`.
  static func overlap(_ bytes: [UInt8], _ marker: [UInt8]) -> Int {
    var length = min(bytes.count, marker.count)
    while length > 0, !bytes.suffix(length).elementsEqual(marker.prefix(length)) { length -= 1 }
    return length
  }

  private mutating func pass(_ bytes: ArraySlice<UInt8>, _ output: inout Output) {
    if bytes.isEmpty { return }
    if !bytes.allSatisfy(Self.isSpace) { hasContent = true }
    output.content += bytes
  }

  private mutating func open(_ space: [UInt8], _ byte: UInt8, _ output: inout Output) {
    opening = space
    held = []
    scanner = CallScanner()
    isArray = byte == UInt8(ascii: "[")
    if isArray {
      opening.append(byte)
      state = .betweenCalls
    } else {
      state = .call
      takeCall(byte, &output)
    }
  }

  private mutating func takeCall(_ byte: UInt8, _ output: inout Output) {
    var events: [CallScanner.Event] = []
    scanner.take(byte, &events)
    for event in events {
      switch event {
      case .started(let name, let id): output.add(.callStarted(index: calls, id: id, name: name))
      case .arguments(let bytes): output.addArguments(bytes, index: calls)
      case .finished:
        output.add(.callFinished(index: calls))
        calls += 1
        opening = []
      }
    }
    if scanner.isDone {
      scanner = CallScanner()
      state = format == .hermes ? .afterCalls : .betweenCalls
    } else if scanner.isBroken {
      abandon(&output)
    }
  }

  /// The text was no call after all.
  private mutating func abandon(_ output: inout Output) {
    let bytes = scanner.hasStarted ? [] : opening + scanner.seen
    let wasStarted = scanner.hasStarted
    scanner = CallScanner()
    opening = []
    held = []
    state = .content
    if wasStarted {
      // The call stays unfinished; its number is not used again.
      calls += 1
      state = .afterCalls
      return
    }
    hasContent = true
    output.content += bytes
  }

  /// After a marker or between the calls of an array: brackets, commas, separators.
  private mutating func takeBetween(_ byte: UInt8, _ output: inout Output) {
    if byte == UInt8(ascii: "{") {
      state = .call
      takeCall(byte, &output)
    } else if byte == UInt8(ascii: "[") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";") || Self.isSpace(byte)
    {
      if calls == 0 { opening.append(byte) }
    } else if byte == UInt8(ascii: "]") || calls > 0 {
      if calls == 0 { output.content += opening + [byte] }
      opening = []
      state = .afterCalls
    } else {
      output.content += opening + [byte]
      opening = []
      hasContent = true
      state = .content
    }
  }

  /// After a finished call: the closing marker and white space vanish, an opening one begins the next call.
  private mutating func takeAfter(_ byte: UInt8, _ output: inout Output) {
    guard format == .hermes else { return }
    held.append(byte)
    while let first = held.first {
      if Self.isSpace(first) {
        held.removeFirst()
      } else if Self.closingMarker.starts(with: held) {
        if held.count < Self.closingMarker.count { return }
        held = []
      } else if Self.marker.starts(with: held) {
        if held.count < Self.marker.count { return }
        held = []
        opening = Self.marker
        state = .call
      } else {
        state = .content
        let rest = held
        held = []
        for byte in rest { takeContent(byte, &output) }
        return
      }
    }
  }
}

/// Pieces being collected; neighbouring ones of a kind are joined. Bytes become text only at the borders of pieces, which
/// are borders of characters.
private struct Output {
  private var list: [ToolStreamPiece] = []
  private var arguments: (index: Int, bytes: [UInt8])?
  var content: [UInt8] = [] {
    willSet { if !newValue.isEmpty, arguments != nil { flushArguments() } }
  }

  mutating func add(_ piece: ToolStreamPiece) {
    flush()
    list.append(piece)
  }

  mutating func addArguments(_ bytes: [UInt8], index: Int) {
    if arguments?.index == index {
      arguments?.bytes += bytes
    } else {
      flush()
      arguments = (index, bytes)
    }
  }

  private mutating func flushArguments() {
    guard let (index, bytes) = arguments else { return }
    list.append(.argumentsDelta(index: index, String(decoding: bytes, as: UTF8.self)))
    arguments = nil
  }

  private mutating func flush() {
    flushArguments()
    if content.isEmpty { return }
    list.append(.content(String(decoding: content, as: UTF8.self)))
    content = []
  }

  mutating func pieces() -> [ToolStreamPiece] {
    flush()
    return list
  }
}
