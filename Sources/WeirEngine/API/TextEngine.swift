// The seam between the doors and the engine. Real: the step loop's engine. Controlled twin: ScriptedEngine.

public import WeirBasics

/// Generates text for any number of requests at once.
public protocol TextEngine: Sendable {
  /// What does not change while the engine lives.
  var information: EngineInformation { get }

  /// Starts a request. The events end with `.done` or with a thrown `EngineError`. Ending the iteration early, or
  /// cancelling the task that iterates, cancels the request and frees its blocks.
  func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error>

  /// The normalised embedding of a text of at least one token; throws `EngineError`.
  func embed(_ tokens: [TokenID], id: RequestID) async throws -> [Float]

  /// Load, pool, counters and distributions now.
  func status() async -> EngineStatus

  /// Cancels the request with this identifier; false if none such is waiting or running.
  func cancel(_ id: RequestID) async -> Bool

  /// Forgets every cached block that no running sequence holds.
  func clearPrefixCache() async

  /// Stops admitting waiting requests; running ones go on.
  func pause() async
  /// Admits again.
  func resume() async

  /// Refuses new requests with `.draining` and returns when the running ones have ended or after `timeoutSeconds`.
  func drain(timeoutSeconds: Double) async
}
