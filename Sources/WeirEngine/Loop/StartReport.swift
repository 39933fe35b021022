// How the step-loop thread tells its maker that it stands, or why not.

import Dispatch
import Synchronization

/// Set once by the new thread, waited for once by its maker.
final class StartReport: Sendable {
  private let outcome = Mutex<EngineError?>(nil)
  private let done = DispatchSemaphore(value: 0)

  func set(_ error: EngineError?) {
    outcome.withLock { $0 = error }
    done.signal()
  }

  func wait() -> EngineError? {
    done.wait()
    return outcome.withLock { $0 }
  }
}
