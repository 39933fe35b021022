// Reading one call's JSON object byte by byte.

import WeirBasics

/// Walks `{"name": ..., "arguments": {...}}` as it arrives: tells the name as soon as it is known and hands on the
/// arguments' bytes untouched.
///
/// Arguments that come before the name are kept until it is known. A member called `parameters` counts as arguments.
/// Arguments given as a JSON string holding JSON text are handed on as the text inside.
struct CallScanner: Sendable {
  enum Event: Equatable {
    case started(name: String, id: String?)
    case arguments([UInt8])
    case finished
  }

  /// Everything consumed so far, for when it turns out to be no call.
  private(set) var seen: [UInt8] = []
  private(set) var hasStarted = false
  private var state = State.beforeObject
  private var key: [UInt8] = []
  private var value: [UInt8] = []
  private var held: [UInt8] = []
  private var id: String?
  private var hasArguments = false
  private var nesting = 0
  private var isInString = false
  private var isEscaped = false

  private enum State {
    case beforeObject, beforeKey, inKey, beforeColon, beforeValue, inValue, afterValue, done, broken
  }

  var isDone: Bool { state == .done }
  /// The text is not a call; `seen` is content.
  var isBroken: Bool { state == .broken }

  /// Takes one byte; false when it cannot belong to a call (then `isBroken`).
  mutating func take(_ byte: UInt8, _ events: inout [Event]) {
    seen.append(byte)
    let isSpace = byte == 32 || (byte >= 9 && byte <= 13)
    switch state {
    case .beforeObject:
      if byte == UInt8(ascii: "{") { state = .beforeKey } else if !isSpace { state = .broken }
    case .beforeKey:
      if byte == UInt8(ascii: "\"") {
        key = [byte]
        state = .inKey
      } else if byte == UInt8(ascii: "}") {
        finish(&events)
      } else if !isSpace, byte != UInt8(ascii: ",") {
        state = .broken
      }
    case .inKey:
      key.append(byte)
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        state = .beforeColon
      }
    case .beforeColon:
      if byte == UInt8(ascii: ":") { state = .beforeValue } else if !isSpace { state = .broken }
    case .beforeValue:
      if isSpace { return }
      begin(byte, &events)
    case .inValue: continueValue(byte, &events)
    case .afterValue:
      if byte == UInt8(ascii: ",") {
        state = .beforeKey
      } else if byte == UInt8(ascii: "}") {
        finish(&events)
      } else if !isSpace {
        state = .broken
      }
    case .done, .broken: break
    }
  }

  private var isArguments: Bool { key == Array("\"arguments\"".utf8) || key == Array("\"parameters\"".utf8) }

  /// Arguments that are an object are passed on while they come; everything else is read whole.
  private var passesOn: Bool { isArguments && value.isEmpty }

  private mutating func begin(_ byte: UInt8, _ events: inout [Event]) {
    value = []
    nesting = 0
    isInString = false
    isEscaped = false
    state = .inValue
    if !(isArguments && byte == UInt8(ascii: "{")) { value = [byte] } else { emit(byte, &events) }
    track(byte)
  }

  private mutating func continueValue(_ byte: UInt8, _ events: inout [Event]) {
    let isOpen = isInString || nesting > 0
    if !isOpen, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
      // The end of a number or word: it belongs to the object.
      endValue(&events)
      if state == .afterValue {
        if byte == UInt8(ascii: ",") { state = .beforeKey } else { finish(&events) }
      }
      return
    }
    if passesOn { emit(byte, &events) } else { value.append(byte) }
    track(byte)
    if isOpen, !isInString, nesting == 0 { endValue(&events) }
  }

  private mutating func track(_ byte: UInt8) {
    if isInString {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInString = false
      }
    } else if byte == UInt8(ascii: "\"") {
      isInString = true
    } else if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
      nesting += 1
    } else if byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
      nesting -= 1
    }
  }

  private mutating func emit(_ byte: UInt8, _ events: inout [Event]) {
    hasArguments = true
    guard hasStarted else {
      held.append(byte)
      return
    }
    if case .arguments(let bytes)? = events.last {
      events[events.count - 1] = .arguments(bytes + [byte])
    } else {
      events.append(.arguments([byte]))
    }
  }

  private mutating func endValue(_ events: inout [Event]) {
    state = .afterValue
    if isArguments {
      if value.isEmpty { return }
      let text = Self.string(value).map { Array($0.utf8) } ?? value
      for byte in text { emit(byte, &events) }
      return
    }
    guard let text = Self.string(value) else { return }
    if key == Array("\"id\"".utf8), !hasStarted { id = text }
    if key == Array("\"name\"".utf8) {
      guard !hasStarted, !text.isEmpty else { return }
      hasStarted = true
      events.append(.started(name: text, id: id))
      if !held.isEmpty { events.append(.arguments(held)) }
      held = []
    }
  }

  /// The text a JSON string spells; nil for another value.
  private static func string(_ bytes: [UInt8]) -> String? {
    guard bytes.first == UInt8(ascii: "\""), let value = try? JSONValue.parse(utf8: bytes) else { return nil }
    return value.string
  }

  private mutating func finish(_ events: inout [Event]) {
    guard hasStarted else {
      state = .broken
      return
    }
    if !hasArguments { events.append(.arguments(Array("{}".utf8))) }
    state = .done
    events.append(.finished)
  }
}
