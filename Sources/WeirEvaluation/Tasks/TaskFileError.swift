// What can be wrong with a task file.

public import WeirBasics

/// A task file that cannot be used; names file, line and field.
public struct TaskFileError: WeirError, Equatable {
  /// The rule that was broken.
  public enum Reason: String, Sendable, CaseIterable {
    case notJSON = "not_json"
    case notAnObject = "not_an_object"
    case missingField = "missing_field"
    case wrongField = "wrong_field"
    case repeatedID = "repeated_id"
    case noItems = "no_items"
  }

  public let reason: Reason
  public let file: String
  /// Counted from 1; 0 if the file as a whole is meant.
  public let line: Int
  /// The member that was wrong, for example `answers[1]`; empty if the whole line is meant.
  public let field: String
  private let detail: String

  init(_ reason: Reason, file: String, line: Int, field: String = "", _ detail: String) {
    self.reason = reason
    self.file = file
    self.line = line
    self.field = field
    self.detail = detail
  }

  public var code: String { "invalid_task_file" }
  public var message: String {
    let place = line > 0 ? "\(file), line \(line)" : file
    return field.isEmpty ? "\(place): \(detail)" : "\(place): \(field) \(detail)"
  }
}
