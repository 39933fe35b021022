// The requests that are generating now: the concurrency limit, unique identifiers, and cancelling by name.

import Synchronization
import WeirBasics

/// Shared by all connections.
final class ActiveRequests: Sendable {
  private struct State {
    /// The engine's identifier of every running request, with the tenant's salt it belongs to.
    var owners: [RequestID: String] = [:]
    var served: UInt64 = 0
    var rejected: UInt64 = 0
  }
  private let state = Mutex(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  var count: Int { state.withLock { $0.owners.count } }
  /// Requests started, and requests refused because of the limit, since the start.
  var totals: (served: UInt64, rejected: UInt64) { state.withLock { ($0.served, $0.rejected) } }

  /// Registers a request under `wanted`, or under `wanted` with a number behind it if that one is running already:
  /// clients may send the same `X-Request-Id` twice. Nil if the limit is reached.
  func begin(_ wanted: String, owner: String) -> RequestID? {
    state.withLock { state in
      guard state.owners.count < limit else {
        state.rejected += 1
        return nil
      }
      var id = RequestID(wanted)
      var number = 2
      while state.owners[id] != nil {
        id = RequestID("\(wanted)-\(number)")
        number += 1
      }
      state.owners[id] = owner
      state.served += 1
      return id
    }
  }

  func end(_ id: RequestID) { state.withLock { _ = $0.owners.removeValue(forKey: id) } }

  /// The running requests that `name` stands for: the identifier itself, or what is behind its prefix.
  func matching(_ name: String) -> [RequestID] {
    state.withLock { state in
      state.owners.keys.filter { $0.rawValue == name || $0.rawValue.hasSuffix("-" + name) }
    }
  }

  var all: [RequestID] { state.withLock { Array($0.owners.keys) } }
}
