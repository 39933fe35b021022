// What can be wrong with a model's files.

public import WeirBasics

/// A model file that is missing, damaged, hostile or not supported. Names the file and the field.
public struct ModelFileError: WeirError, Equatable {
  /// The rule that was broken.
  public enum Reason: String, Sendable, CaseIterable {
    case cannotOpen = "cannot_open"
    case cannotWrite = "cannot_write"
    case truncated = "truncated"
    case badMagic = "bad_magic"
    case unsupportedVersion = "unsupported_version"
    case unsupportedType = "unsupported_type"
    case badCount = "bad_count"
    case badShape = "bad_shape"
    case badOffset = "bad_offset"
    case overlap = "overlap"
    case misaligned = "misaligned"
    case duplicateName = "duplicate_name"
    case badText = "bad_text"
    case badValue = "bad_value"
    case badJSON = "bad_json"
    case missing = "missing"
    case unsafePath = "unsafe_path"
  }

  public let reason: Reason
  /// The file, as it was given by the caller.
  public let path: String
  /// The field, key or tensor that was wrong, for example `tensor blk.0.attn_q.weight offset`.
  public let field: String
  private let detail: String

  /// Makes an error.
  ///
  /// - Parameters:
  ///   - reason: the rule that was broken.
  ///   - path: the file.
  ///   - field: the field, key or tensor.
  ///   - detail: what was found and what would be right.
  public init(_ reason: Reason, path: String, field: String, _ detail: String) {
    self.reason = reason
    self.path = path
    self.field = field
    self.detail = detail
  }

  public var code: String { "model_file_\(reason.rawValue)" }
  public var message: String { "\(path): \(field): \(detail)" }
}
