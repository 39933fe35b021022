// Numbers of JSON Schema: ranges as expressions over digits.

import WeirBasics

extension JSONSchemaCompiler {
  mutating func integer(_ members: JSONObject, _ path: String) throws(SamplingError) -> GrammarExpression {
    let bounds = try Bounds(members, path)
    guard bounds.isPresent else { return grammar.integer }
    let low = bounds.low.map { bounds.excludesLow ? $0.rounded(.down) + 1 : $0.rounded(.up) }
    let high = bounds.high.map { bounds.excludesHigh ? $0.rounded(.up) - 1 : $0.rounded(.down) }
    let least = low.map(Int64.init) ?? -DigitRange.largest
    let most = high.map(Int64.init) ?? DigitRange.largest
    guard least <= most else { throw Self.invalid(path, "no whole number lies within its bounds") }
    var parts: [GrammarExpression] = []
    if most >= 0 { parts.append(DigitRange.expression(max(least, 0), most)) }
    if least < 0 {
      parts.append(.sequence([.text("-"), DigitRange.expression(max(1, -most), -least)]))
    }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  /// With bounds, numbers are written without an exponent, and the bounds must be whole numbers.
  mutating func number(_ members: JSONObject, _ path: String) throws(SamplingError) -> GrammarExpression {
    let bounds = try Bounds(members, path)
    guard bounds.isPresent else { return grammar.number }
    for bound in [bounds.low, bounds.high] {
      if let bound, bound.rounded() != bound {
        throw Self.unsupported(path, "a bound of a number that is not whole")
      }
    }
    let low = bounds.low.map(Int64.init)
    let high = bounds.high.map(Int64.init)
    if let low, let high, low > high || (low == high && (bounds.excludesLow || bounds.excludesHigh)) {
      throw Self.invalid(path, "no number lies within its bounds")
    }
    var parts: [GrammarExpression] = []
    if high ?? 1 > 0 || (high == 0 && !bounds.excludesHigh) {
      let from = max(low ?? 0, 0)
      let excludes = bounds.excludesLow && low == from
      parts += DigitRange.decimals(from, high, excludesLow: excludes, excludesHigh: bounds.excludesHigh)
    }
    if low ?? -1 < 0 {
      // The mirror image; minus zero is left to the other side.
      let from = max(high.map { -$0 } ?? 0, 0)
      let excludes = from == 0 || (bounds.excludesHigh && high == -from)
      let mirrored = DigitRange.decimals(from, low.map { -$0 }, excludesLow: excludes, excludesHigh: bounds.excludesLow)
      parts += mirrored.map { .sequence([.text("-"), $0]) }
    }
    return .choice(parts)
  }

  private struct Bounds {
    var low: Double?
    var high: Double?
    var excludesLow = false
    var excludesHigh = false
    var isPresent: Bool { low != nil || high != nil }

    init(_ members: JSONObject, _ path: String) throws(SamplingError) {
      low = try Self.value(members, "minimum", path)
      high = try Self.value(members, "maximum", path)
      if members["exclusiveMinimum"] == .bool(true) { excludesLow = low != nil }
      if members["exclusiveMaximum"] == .bool(true) { excludesHigh = high != nil }
      if let other = try Self.value(members, "exclusiveMinimum", path), other >= low ?? -.infinity {
        low = other
        excludesLow = true
      }
      if let other = try Self.value(members, "exclusiveMaximum", path), other <= high ?? .infinity {
        high = other
        excludesHigh = true
      }
    }

    private static func value(_ members: JSONObject, _ keyword: String, _ path: String) throws(SamplingError) -> Double?
    {
      guard let value = members[keyword] else { return nil }
      if keyword.hasPrefix("exclusive"), value.bool != nil { return nil }
      guard let number = value.double else {
        throw JSONSchemaCompiler.invalid("\(path)/\(keyword)", "it must be a number")
      }
      guard abs(number) <= 1e15 else {
        throw JSONSchemaCompiler.unsupported("\(path)/\(keyword)", "a bound beyond 1e15")
      }
      return number
    }
  }
}

/// Decimal digits of a range of whole numbers.
enum DigitRange {
  /// The largest number written where there is no bound.
  static let largest: Int64 = 999_999_999_999_999_999

  private static func digits(_ low: UInt8, _ high: UInt8) -> GrammarExpression {
    .scalars(ScalarSet([UInt32(low)...UInt32(high)]))
  }

  /// Whole numbers from `low` to `high`, `0 <= low <= high`, without leading zeros.
  static func expression(_ low: Int64, _ high: Int64) -> GrammarExpression {
    var parts: [GrammarExpression] = []
    var from = low
    // One part per length.
    while from <= high {
      let text = Array(String(from).utf8)
      let last = min(high, Int64(String(repeating: "9", count: text.count)) ?? high)
      parts.append(sameLength(text[...], Array(String(last).utf8)[...]))
      from = last + 1
    }
    return parts.count == 1 ? parts[0] : .choice(parts)
  }

  private static func sameLength(_ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) -> GrammarExpression {
    guard let first = low.first, let last = high.first else { return .empty }
    let lowRest = low.dropFirst()
    let highRest = high.dropFirst()
    if first == last { return .sequence([digits(first, last), sameLength(lowRest, highRest)]) }
    var parts: [GrammarExpression] = []
    var from = first
    var to = last
    let zeros = [UInt8](repeating: 0x30, count: lowRest.count)
    let nines = [UInt8](repeating: 0x39, count: lowRest.count)
    if !lowRest.elementsEqual(zeros) {
      parts.append(.sequence([digits(first, first), sameLength(lowRest, nines[...])]))
      from += 1
    }
    if !highRest.elementsEqual(nines) { to -= 1 }
    if from <= to {
      parts.append(.sequence([digits(from, to), .repeated(digits(0x30, 0x39), zeros.count, zeros.count)]))
    }
    if !highRest.elementsEqual(nines) {
      parts.append(.sequence([digits(last, last), sameLength(zeros[...], highRest)]))
    }
    return .choice(parts)
  }

  /// Numbers with or without a fraction, from `low >= 0` to `high` (nil: 16 digits).
  static func decimals(
    _ low: Int64, _ high: Int64?, excludesLow: Bool, excludesHigh: Bool
  ) -> [GrammarExpression] {
    let most = high ?? 9_999_999_999_999_999
    let digit = JSONGrammar.digit
    let fraction = GrammarExpression.sequence([.text("."), .repeated(digit, 1, 16)])
    let zeroFraction = GrammarExpression.sequence([.text("."), .repeated(.text("0"), 1, 16)])
    let positiveFraction = GrammarExpression.sequence([
      .text("."), .repeated(digit, 0, 15), digits(0x31, 0x39), .repeated(digit, 0, 15),
    ])
    var parts: [GrammarExpression] = []
    if low < most {
      let first = excludesLow ? low + 1 : low
      if excludesLow { parts.append(.sequence([expression(low, low), positiveFraction])) }
      if first < most { parts.append(.sequence([expression(first, most - 1), .optional(fraction)])) }
    }
    let isExcluded = excludesHigh || (low == most && excludesLow)
    if !isExcluded { parts.append(.sequence([expression(most, most), .optional(zeroFraction)])) }
    return parts
  }
}
