// Why a measurement cannot be made.

public import WeirBasics

/// A setting or an answer that an evaluation cannot work with.
public struct EvaluationError: WeirError, Equatable {
  public let code: String
  public let message: String

  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}
