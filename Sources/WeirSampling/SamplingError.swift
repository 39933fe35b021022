// What can be wrong with a request for sampling or for constrained output.

public import WeirBasics

/// A sampling parameter out of range, or a constraint that cannot be compiled or followed.
public struct SamplingError: WeirError, Equatable {
  /// What kind of thing was wrong.
  public enum Kind: String, Sendable, CaseIterable {
    case invalidParameter = "invalid_sampling_parameter"
    case invalidGrammar = "invalid_grammar"
    case invalidRegex = "invalid_regex"
    case invalidSchema = "invalid_json_schema"
    case unsupported = "unsupported_constraint"
    case tooLarge = "constraint_too_large"
    case stuck = "constraint_stuck"
  }

  public let kind: Kind
  public let message: String
  /// The parameter, schema path or rule that was wrong, where there is one.
  public let parameter: String?
  /// Offset into the source text (regex, grammar), in Unicode scalars, where there is one.
  public let position: Int?
  public var code: String { kind.rawValue }

  public init(_ kind: Kind, _ message: String, parameter: String? = nil, position: Int? = nil) {
    self.kind = kind
    self.message = message
    self.parameter = parameter
    self.position = position
  }
}
