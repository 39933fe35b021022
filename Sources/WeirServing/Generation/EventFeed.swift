// The engine's events on their way to a writer, with a first look: refusals that come at once become HTTP statuses.

import WeirEngine

/// One running generation.
struct EventFeed: Sendable {
  let events: AsyncThrowingStream<GenerationEvent, any Error>
  /// Yields one element when the first event or the failure is there.
  private let opening: AsyncStream<(any Error)?>

  /// Starts `request` at once. Dropping the feed, or ending the iteration of its events, cancels the request.
  init(_ engine: any TextEngine, _ request: GenerationRequest, onEnd: @escaping @Sendable () -> Void) {
    let (events, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
    let (opening, opener) = AsyncStream<(any Error)?>.makeStream(bufferingPolicy: .bufferingOldest(1))
    let pump = Task {
      do {
        for try await event in engine.generate(request) {
          opener.yield(nil)
          continuation.yield(event)
        }
        opener.yield(nil)
        continuation.finish()
      } catch {
        opener.yield(error)
        continuation.finish(throwing: error)
      }
      opener.finish()
      onEnd()
    }
    continuation.onTermination = { _ in pump.cancel() }
    self.events = events
    self.opening = opening
  }

  /// Throws what the engine refuses the request with, if it does so within `seconds`.
  ///
  /// - Parameter sign: another sign that the request was not refused.
  func throwEarlyFailure(within seconds: Double, orUntil sign: (@Sendable () async -> Void)? = nil) async throws {
    let failure = await withTaskGroup(of: (any Error)?.self) { group in
      group.addTask { [opening] in
        for await outcome in opening { return outcome }
        return nil
      }
      group.addTask {
        try? await Task.sleep(nanoseconds: UInt64(seconds * 1e9))
        return nil
      }
      if let sign {
        group.addTask {
          await sign()
          return nil
        }
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
    if let failure { throw failure }
  }
}

/// Runs `operation`, but gives up as soon as the client has gone.
func whileConnected<Value: Sendable>(
  _ signal: ConnectionSignal, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value?.self) { group in
    group.addTask { try await operation() }
    group.addTask {
      await signal.wait()
      return nil
    }
    defer { group.cancelAll() }
    guard let first = try await group.next(), let value = first else { throw APIError.clientGone }
    return value
  }
}
