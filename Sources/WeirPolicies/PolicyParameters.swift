// Reads `name:key=value,key=value`. Every parameter is asked for by name; what nobody asked for is an error.

import WeirBasics

/// The parameters behind a policy's name.
struct PolicyParameters {
  /// A number, or the one word that is allowed in its place.
  enum NumberOrWord: Equatable {
    case number(Int)
    case word
  }

  /// The name in front of the colon.
  let policy: String
  private var texts: [String: String] = [:]
  private var known: [String] = []

  /// - Throws: ``KVPolicyError`` for what is not `key=value`, or a key that repeats.
  init(_ text: String) throws(KVPolicyError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    policy = parts.first ?? ""
    guard parts.count == 2 else { return }
    for pair in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty, texts[sides[0]] == nil else {
        throw KVPolicyError(
          "invalid_policy_parameter",
          "\"\(pair)\" in the policy \(text) must read key=value, each key once, separated by commas")
      }
      texts[sides[0]] = sides[1]
    }
  }

  func wrong(_ name: String, is text: String, mustBe wanted: String) -> KVPolicyError {
    KVPolicyError("invalid_policy_parameter", "the parameter \(name) of \(policy) is \(text); it must be \(wanted)")
  }

  private mutating func text(_ name: String) -> String? {
    known.append(name)
    return texts[name]
  }

  mutating func integer(_ name: String, in range: ClosedRange<Int>) throws(KVPolicyError) -> Int? {
    guard let text = text(name) else { return nil }
    guard let value = Int(text), range.contains(value) else {
      throw wrong(name, is: text, mustBe: "a whole number in \(range)")
    }
    return value
  }

  mutating func integer(
    _ name: String, in range: ClosedRange<Int>, orWord word: String
  ) throws(KVPolicyError) -> NumberOrWord? {
    if texts[name] == word {
      known.append(name)
      return .word
    }
    guard let text = text(name) else { return nil }
    guard let value = Int(text), range.contains(value) else {
      throw wrong(name, is: text, mustBe: "a whole number in \(range), or \(word)")
    }
    return .number(value)
  }

  mutating func number(_ name: String, in range: ClosedRange<Double>) throws(KVPolicyError) -> Double? {
    guard let text = text(name) else { return nil }
    guard let value = Double(text), range.contains(value) else {
      throw wrong(name, is: text, mustBe: "a number in \(range)")
    }
    return value
  }

  mutating func word<Value: RawRepresentable & CaseIterable>(
    _ name: String
  ) throws(KVPolicyError) -> Value? where Value.RawValue == String {
    guard let text = text(name) else { return nil }
    guard let value = Value(rawValue: text) else {
      throw wrong(name, is: text, mustBe: Value.allCases.map(\.rawValue).joined(separator: " or "))
    }
    return value
  }

  /// Reads `start-end+start-end`.
  mutating func spans(_ name: String) throws(KVPolicyError) -> [Range<Position>]? {
    guard let text = text(name) else { return nil }
    var spans: [Range<Position>] = []
    for part in text.split(separator: "+", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard ends.count == 2, let start = ends[0], let end = ends[1], start <= end else {
        throw wrong(name, is: text, mustBe: "positions as start-end+start-end, each start at most its end")
      }
      spans.append(start..<end)
    }
    return spans
  }

  /// - Throws: ``KVPolicyError`` for a parameter that nobody asked for.
  func finish() throws(KVPolicyError) {
    guard let stranger = texts.keys.filter({ !known.contains($0) }).min() else { return }
    throw KVPolicyError(
      "unknown_policy_parameter",
      "\(policy) has no parameter \(stranger); it has "
        + (known.isEmpty ? "none" : known.sorted().joined(separator: ", ")))
  }
}
