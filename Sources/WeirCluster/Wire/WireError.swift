// What can be wrong with a document of another node.

public import WeirBasics

/// A document from outside that is not what it should be.
public struct WireError: WeirError, Equatable {
  public enum Reason: String, Sendable, CaseIterable {
    case notJSON = "not_json"
    case notAnObject = "not_an_object"
    case tooLong = "too_long"
    case unsupportedVersion = "unsupported_version"
    case missingField = "missing_field"
    case wrongField = "wrong_field"
  }

  public let reason: Reason
  /// For example `load report`.
  public let document: String
  /// Path of the field, empty if the whole document is meant.
  public let field: String
  private let detail: String

  init(_ reason: Reason, _ document: String, field: String = "", _ detail: String) {
    self.reason = reason
    self.document = document
    self.field = field
    self.detail = detail
  }

  public var code: String { "invalid_cluster_document" }
  public var message: String {
    field.isEmpty ? "the \(document) \(detail)" : "field \(field) of the \(document) \(detail)"
  }
}
