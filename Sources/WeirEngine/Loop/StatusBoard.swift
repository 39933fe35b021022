// Where the step loop pins up its numbers for everybody else.

import Synchronization
import WeirBasics

/// The latest published status; written by the step loop after every step, read by the doors at any time.
final class StatusBoard: Sendable {
  private let state = Mutex<(status: EngineStatus, openRequests: Int)>((EngineStatus(), 0))

  func publish(_ status: EngineStatus, openRequests: Int) {
    state.withLock { $0 = (status, openRequests) }
  }

  var status: EngineStatus { state.withLock { $0.status } }
  var openRequests: Int { state.withLock { $0.openRequests } }
}
