// The controlled twin of the engine: says what it was told to say, when it was told to, and remembers what was asked.

import Synchronization
public import WeirBasics
import WeirText

/// What a `ScriptedEngine` answers to one request.
public struct EngineScript: Sendable {
  /// One thing that happens while an answer is generated.
  public enum Step: Sendable {
    /// The text's tokens, one event each.
    case say(String)
    case token(TokenID)
    case wait(seconds: Double)
    /// Stands still until `ScriptedEngine.release()` or until the request is cancelled.
    case hold
    case fail(EngineError)
  }

  /// Before the prompt is reported as computed.
  public var prefill: [Step] = []
  /// Played for every choice in turn; ends with an end token unless the length limit comes first.
  public var answer: [Step]
  public var cachedTokens = 0

  public init(prefill: [Step] = [], answer: [Step], cachedTokens: Int = 0) {
    self.prefill = prefill
    self.answer = answer
    self.cachedTokens = cachedTokens
  }
}

/// An engine without a model.
public final class ScriptedEngine: TextEngine {
  private struct State {
    var requests: [GenerationRequest] = []
    var running: [RequestID: Task<Void, Never>] = [:]
    var cancelled: [RequestID] = []
    var holders: [AsyncStream<Void>.Continuation] = []
    var status = EngineStatus()
    var cacheClears = 0
  }

  public let information: EngineInformation
  private let script: @Sendable (GenerationRequest) -> EngineScript
  private let sleep: @Sendable (Double) async throws -> Void
  private let state = Mutex(State())

  /// - Parameters:
  ///   - information: what the engine says of its model.
  ///   - sleep: waits for a number of seconds; throws when cancelled.
  ///   - script: chooses the answer to a request.
  public init(
    information: EngineInformation,
    sleep: @escaping @Sendable (Double) async throws -> Void = { try await Task.sleep(for: .seconds($0)) },
    script: @escaping @Sendable (GenerationRequest) -> EngineScript
  ) {
    self.information = information
    self.sleep = sleep
    self.script = script
  }

  /// Everything that was asked for, oldest first.
  public var requests: [GenerationRequest] { state.withLock { $0.requests } }
  /// Requests whose reader went away or that were cancelled by name.
  public var cancelled: [RequestID] { state.withLock { $0.cancelled } }
  public var runningCount: Int { state.withLock { $0.running.count } }
  public var cacheClears: Int { state.withLock { $0.cacheClears } }

  /// Lets everything that stands at a `.hold` go on.
  public func release() {
    let holders = state.withLock { state in
      defer { state.holders = [] }
      return state.holders
    }
    for holder in holders { holder.finish() }
  }

  /// Changes what `status()` reports.
  public func setStatus(_ change: (inout EngineStatus) -> Void) { state.withLock { change(&$0.status) } }

  public func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
    let (stream, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
    guard !state.withLock({ $0.status.isDraining }) else {
      continuation.finish(throwing: EngineError(.draining, message: "the engine is draining", retryAfterSeconds: 1))
      return stream
    }
    let task = Task { [self] in
      do {
        var player = ScriptPlayer(request: request, tokenizer: information.tokenizer, script: script(request))
        while let step = player.next() { try await play(step, &player, continuation) }
        finish(request.id, player)
        continuation.yield(.done(player.usage))
        continuation.finish()
      } catch {
        forget(request.id)
        continuation.finish(throwing: error)
      }
    }
    state.withLock { state in
      state.requests.append(request)
      state.running[request.id] = task
    }
    continuation.onTermination = { [weak self] termination in
      if case .cancelled = termination { self?.noteCancelled(request.id) }
      task.cancel()
    }
    return stream
  }

  private func play(
    _ step: ScriptPlayer.Action, _ player: inout ScriptPlayer,
    _ continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
  ) async throws {
    try Task.checkCancellation()
    switch step {
    case .events(let events): for event in events { continuation.yield(event) }
    case .wait(let seconds): try await sleep(seconds)
    case .fail(let error): throw error
    case .hold:
      let gate = AsyncStream<Void> { holder in state.withLock { $0.holders.append(holder) } }
      for await _ in gate {}
      try Task.checkCancellation()
    }
  }

  private func finish(_ id: RequestID, _ player: ScriptPlayer) {
    state.withLock { state in
      state.running[id] = nil
      state.status.counters.promptTokens += UInt64(player.usage.promptTokens)
      state.status.counters.cachedTokens += UInt64(player.usage.cachedTokens)
      state.status.counters.generatedTokens += UInt64(player.usage.completionTokens)
      for reason in player.reasons { state.status.counters.finished[reason, default: 0] += 1 }
    }
  }

  private func forget(_ id: RequestID) { state.withLock { $0.running[id] = nil } }

  private func noteCancelled(_ id: RequestID) {
    state.withLock { state in
      state.cancelled.append(id)
      state.running[id] = nil
    }
  }

  public func embed(_ tokens: [TokenID], id: RequestID) async throws -> [Float] {
    let width = information.embeddingWidth
    guard width > 0 else {
      throw EngineError(.invalidRequest, message: "this model makes no embeddings", param: "model")
    }
    var vector = [Float](repeating: 0, count: width)
    for (place, token) in tokens.enumerated() { vector[(token.index + place) % width] += 1 }
    let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return vector.map { $0 / max(length, 1e-12) }
  }

  public func status() async -> EngineStatus {
    state.withLock { state in
      var status = state.status
      status.load.runningSequences = state.running.count
      return status
    }
  }

  public func cancel(_ id: RequestID) async -> Bool {
    let task = state.withLock { state in
      defer { if state.running[id] != nil { state.cancelled.append(id) } }
      return state.running[id]
    }
    task?.cancel()
    return task != nil
  }

  public func clearPrefixCache() async { state.withLock { $0.cacheClears += 1 } }
  public func pause() async { state.withLock { $0.status.isPaused = true } }
  public func resume() async { state.withLock { $0.status.isPaused = false } }

  public func drain(timeoutSeconds: Double) async {
    state.withLock { $0.status.isDraining = true }
    let step = 0.01
    var waited = 0.0
    while runningCount > 0, waited < timeoutSeconds {
      guard (try? await sleep(step)) != nil else { return }
      waited += step
    }
  }
}
