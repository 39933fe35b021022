// What a model file can do wrong once its container has been read.

public import WeirBasics

/// A model that cannot be run: unknown architecture, or a hyperparameter or tensor that is missing or does not fit.
public struct ModelError: WeirError, Equatable {
  public enum Reason: String, Sendable, CaseIterable {
    case unknownArchitecture = "unknown_architecture"
    case missingField = "missing_field"
    case badField = "bad_field"
    case missingTensor = "missing_tensor"
    case wrongShape = "wrong_shape"
    case badTensor = "bad_tensor"
    case unexpectedTensor = "unexpected_tensor"
    case unsupported = "unsupported"
  }

  public let reason: Reason
  /// The field, tensor or architecture that was wrong.
  public let subject: String
  private let detail: String

  init(_ reason: Reason, _ subject: String, _ detail: String) {
    self.reason = reason
    self.subject = subject
    self.detail = detail
  }

  public var code: String { "model_\(reason.rawValue)" }
  public var message: String { "\(subject): \(detail)" }
}
