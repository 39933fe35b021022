// Answers of /v1/responses that clients may read again, in memory and bounded.

import Synchronization
import WeirBasics
import WeirEngine
import WeirText

/// One stored response.
struct StoredResponse: Sendable {
  var body: JSONObject
  /// The salt of the caller it belongs to: nobody else may read it.
  var owner: String
  /// The conversation up to and including the answer, for `previous_response_id`.
  var messages: [ChatMessage]
  /// While it is generated.
  var running: RequestID?
}

/// The oldest answers make room for new ones.
final class ResponseStore: Sendable {
  private struct State {
    var order: [String] = []
    var items: [String: StoredResponse] = [:]
  }
  private let state = Mutex(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  func put(_ id: String, _ response: StoredResponse) {
    guard limit > 0 else { return }
    state.withLock { state in
      if state.items.updateValue(response, forKey: id) == nil { state.order.append(id) }
      while state.order.count > limit { state.items[state.order.removeFirst()] = nil }
    }
  }

  /// The response, if it belongs to `owner`.
  func get(_ id: String, owner: String) -> StoredResponse? {
    state.withLock { $0.items[id].flatMap { $0.owner == owner ? $0 : nil } }
  }

  func remove(_ id: String) {
    state.withLock { state in
      state.items[id] = nil
      state.order.removeAll { $0 == id }
    }
  }
}
