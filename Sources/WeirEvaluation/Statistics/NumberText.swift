// Numbers as text, the same on every machine.

/// Decimal text without locale.
public enum NumberText {
  /// `value` with `digits` decimals, rounded half away from zero; for example `fixed(2.5, 2)` is `2.50`.
  ///
  /// Not finite numbers and those beyond 1e15 are written as Swift describes them.
  public static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return value.description }
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * Double(scale)).rounded()
    guard scaled < 9e18 else { return value.description }
    let units = Int(scaled)
    let sign = value < 0 && units > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(units)" }
    let fraction = String(units % scale)
    return "\(sign)\(units / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// The shortest text: whole numbers without a point.
  public static func plain(_ value: Double) -> String {
    Int(exactly: value).map(String.init) ?? value.description
  }

  /// A share in percent with one decimal: `0.954` is `95.4 %`.
  public static func percent(_ share: Double) -> String { fixed(share * 100, 1) + " %" }
}
