// The base of every typed error.

/// An error that a client, a file or a peer can cause. Broken invariants trap instead.
public protocol WeirError: Error, Sendable, CustomStringConvertible {
  /// A stable word for machines, in snake case, for example `context_length_exceeded`.
  var code: String { get }
  /// One sentence that names what was wrong and what would be right.
  var message: String { get }
}

extension WeirError {
  public var description: String { "\(code): \(message)" }
}
