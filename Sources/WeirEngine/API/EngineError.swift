// Why the engine refuses or gives up a request.

public import WeirBasics

/// An error that a request can meet in the engine.
public struct EngineError: WeirError, Equatable {
  /// The kinds of failure; the raw value is the machine-readable code.
  public struct Kind: RawRepresentable, Sendable, Hashable {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The prompt, or the prompt with the answer asked for, does not fit the model's context.
    public static let contextLengthExceeded = Kind(rawValue: "context_length_exceeded")
    /// The waiting queue is at its limit; try again later.
    public static let queueFull = Kind(rawValue: "queue_full")
    /// The engine is shutting down.
    public static let draining = Kind(rawValue: "draining")
    /// A field has a value that the engine cannot honour.
    public static let invalidRequest = Kind(rawValue: "invalid_request")
    /// Something broke that is not the client's fault.
    public static let internalError = Kind(rawValue: "internal_error")
    /// The sequence cannot fit the block pool, even alone.
    public static let insufficientKV = Kind(rawValue: "insufficient_kv")
  }

  public var kind: Kind
  public var message: String
  /// The request field that was wrong, in the API's spelling.
  public var param: String?
  /// When trying again may help.
  public var retryAfterSeconds: Double?

  public init(_ kind: Kind, message: String, param: String? = nil, retryAfterSeconds: Double? = nil) {
    self.kind = kind
    self.message = message
    self.param = param
    self.retryAfterSeconds = retryAfterSeconds
  }

  public var code: String { kind.rawValue }
}
