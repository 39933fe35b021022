// The one door into the step-loop thread.

import Dispatch
import Synchronization
import WeirBasics

/// A mailbox: any thread posts, the step loop takes everything at once. Its length is bounded by its users: a request
/// is refused at the door when too many are inside, and every other command belongs to one waiting caller.
final class Inbox: Sendable {
  private let commands = Mutex<[Command]>([])
  private let signal = DispatchSemaphore(value: 0)

  func post(_ command: Command) {
    commands.withLock { $0.append(command) }
    signal.signal()
  }

  /// Ends a `wait` although nothing is posted: there is something else to look at.
  func wake() { signal.signal() }

  /// All posted commands, in order; empty if there are none.
  func takeAll() -> [Command] {
    commands.withLock { list in
      let taken = list
      list = []
      return taken
    }
  }

  /// Waits until something is posted, at most `seconds`.
  func wait(seconds: Double) {
    _ = signal.wait(timeout: .now() + seconds)
  }
}

/// What the outside can ask of the step loop.
enum Command: Sendable {
  case submit(Ticket, GenerationRequest, AsyncThrowingStream<GenerationEvent, any Error>.Continuation)
  case embed(Ticket, RequestID, [TokenID], CheckedContinuation<[Float], any Error>)
  /// The client went away or its stream was dropped.
  case abandon(Ticket)
  case cancel(RequestID, CheckedContinuation<Bool, Never>)
  case clearPrefixCache(CheckedContinuation<Void, Never>)
  case setPaused(Bool, CheckedContinuation<Void, Never>)
  case shutDown
}

/// Names one call of `generate` or `embed`; unlike a request id it is ours and unique.
struct Ticket: Hashable, Sendable { let rawValue: UInt64 }
