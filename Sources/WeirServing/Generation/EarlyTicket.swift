// A ticket that is told while its prompt is still being computed, and the answer that carries it.

import Hummingbird
import Synchronization
import WeirBasics
import WeirKVTransfer

/// Told once by the engine's thread, awaited by the answer.
final class EarlyTicket: Sendable {
  private let ticket = Mutex<HandoffTicket?>(nil)
  private let signal = ConnectionSignal()

  /// A prompt that lost its blocks and starts over tells another one; who has heard the first does not use it.
  func tell(_ told: HandoffTicket) {
    ticket.withLock { ticket in
      if ticket == nil { ticket = told }
    }
    signal.fire()
  }

  /// The ticket, as soon as there is one; nil if the task is cancelled before.
  func value() async -> HandoffTicket? {
    await signal.wait()
    return ticket.withLock { $0 }
  }
}

enum PrefillStream {
  /// The answer of a node that prefills for another one: the ticket as an event of its own when the prompt begins,
  /// then the whole answer. Where no ticket is told before the end, only the answer comes, with its ticket if it has one.
  ///
  /// - Parameter answer: reads the generation to its end and makes the body.
  static func response(
    _ early: EarlyTicket, feed: EventFeed, state: ServingState, signal: ConnectionSignal,
    answer: @escaping @Sendable () async throws -> JSONValue
  ) async throws -> Response {
    try await feed.throwEarlyFailure(within: state.configuration.earlyFailureSeconds) { _ = await early.value() }
    let retryAfter = state.configuration.retryAfterSeconds
    return EventStream.response(keepAliveSeconds: state.configuration.keepAliveSeconds, signal: signal) { sink in
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          if let ticket = await early.value() { sink.send([HandoffFields.field: HandoffFields.answer(ticket)]) }
        }
        let result: Result<JSONValue, any Error>
        do { result = .success(try await answer()) } catch { result = .failure(error) }
        // The ticket never comes behind the answer.
        group.cancelAll()
        await group.waitForAll()
        switch result {
        case .success(let body):
          sink.send(body)
          sink.send(raw: "[DONE]")
        case .failure(let error): sink.send(APIError.from(error, retryAfter: retryAfter).body(.openAI, requestID: nil))
        }
      }
    }
  }
}
