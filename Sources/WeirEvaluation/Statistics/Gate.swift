// Gates: what must hold for a run to count as passed.

public import WeirBasics

/// A condition on a run's figures, for example `facts-1k>=0.95`, `kind=multi>90%`, `perplexity<=12`.
public struct Gate: Sendable, Equatable, CustomStringConvertible {
  /// How the figure must stand to the limit.
  public enum Relation: String, Sendable, CaseIterable {
    // Longer spellings first: `>=` must not be read as `>`.
    case atLeast = ">="
    case atMost = "<="
    case over = ">"
    case under = "<"
  }

  /// A gate that cannot be read or judged.
  public struct Failure: WeirError, Equatable {
    public let code: String
    public let message: String
  }

  /// `all`, `perplexity`, `bits_per_byte`, a tag's value, or `key=value`.
  public let subject: String
  public let relation: Relation
  public let limit: Double
  /// The gate as it was written.
  public let description: String

  /// - Parameter text: subject, relation, limit; the limit of a share is in `0...1` or in percent with `%`.
  /// - Throws: ``Failure`` that says what a gate looks like.
  public init(_ text: String) throws(Failure) {
    func refused(_ why: String) -> Failure {
      Failure(
        code: "invalid_gate",
        message: "--require \(text): \(why); write for example \"facts-1k>=0.95\", \"all>=95%\" or \"perplexity<=12\"")
    }
    guard let mark = text.firstIndex(where: { $0 == "<" || $0 == ">" }) else {
      throw refused("there is no >=, <=, > or <")
    }
    let relation = Relation.allCases.first { text[mark...].hasPrefix($0.rawValue) } ?? .over
    let number = Self.trimmed(text[mark...].dropFirst(relation.rawValue.count))
    let isPercent = number.hasSuffix("%")
    guard let value = Double(isPercent ? Self.trimmed(number.dropLast()) : number), value.isFinite else {
      throw refused("\"\(number)\" is not a number")
    }
    subject = Self.trimmed(text[..<mark])
    if subject.isEmpty { throw refused("it does not say what is measured") }
    self.relation = relation
    limit = isPercent ? value / 100 : value
    description = text
  }

  /// Whether a figure satisfies the gate.
  public func holds(for value: Double) -> Bool {
    switch relation {
    case .atLeast: value >= limit
    case .atMost: value <= limit
    case .over: value > limit
    case .under: value < limit
    }
  }

  /// The figure that the gate speaks of.
  ///
  /// - Throws: ``Failure`` if nothing in the run is called so, or more than one thing is.
  public func figure(in breakdown: Breakdown, perplexity: Perplexity?) throws(Failure) -> Double {
    switch subject {
    case "all": return breakdown.overall.share
    case "perplexity", "bits_per_byte":
      guard let perplexity else {
        throw Failure(code: "unknown_gate", message: "--require \(self): no perplexity was measured; give --text")
      }
      return subject == "perplexity" ? perplexity.value : perplexity.bitsPerByte
    default: break
    }
    var found: [(name: String, share: Double)] = []
    for section in breakdown.sections {
      for group in section.groups where group.label == subject || "\(section.key)=\(group.label)" == subject {
        found.append(("\(section.key)=\(group.label)", group.tally.share))
      }
    }
    guard let first = found.first else {
      throw Failure(code: "unknown_gate", message: "--require \(self): no item has a tag of that value")
    }
    guard found.count == 1 else {
      let names = found.map(\.name).joined(separator: " or ")
      throw Failure(code: "unknown_gate", message: "--require \(self): it could mean \(names); write one of them")
    }
    return first.share
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(String.UnicodeScalarView(scalars))
  }
}
