// What a sampler remembers of prompt and answer: counts inside the penalty window, and the tokens for DRY.

import WeirBasics

/// The tokens so far and how often each occurs inside the window.
struct TokenHistory: Sendable {
  struct Entry: Sendable {
    var token: TokenID
    /// Occurrences in prompt and answer inside the window.
    var all: Int32
    /// Occurrences in the answer inside the window.
    var generated: Int32
  }

  private(set) var tokens: [TokenID] = []
  private(set) var promptCount = 0
  /// Distinct tokens inside the window, in no meaningful order.
  private(set) var entries: [Entry] = []
  private var places: [TokenID: Int] = [:]
  private let window: Int
  private let keepsCounts: Bool

  /// - Parameter window: -1 for everything, else the number of last tokens that count.
  init(prompt: [TokenID], window: Int, keepsCounts: Bool) {
    self.window = window
    self.keepsCounts = keepsCounts
    tokens = prompt
    promptCount = prompt.count
    guard keepsCounts else { return }
    let start = window < 0 ? 0 : max(0, prompt.count - window)
    for token in prompt[start...] { add(token, generated: 0) }
  }

  mutating func append(_ token: TokenID) {
    tokens.append(token)
    guard keepsCounts, window != 0 else { return }
    add(token, generated: 1)
    let leaving = tokens.count - 1 - window
    if window > 0, leaving >= 0 { remove(tokens[leaving], generated: leaving >= promptCount ? 1 : 0) }
  }

  private mutating func add(_ token: TokenID, generated: Int32) {
    if let place = places[token] {
      entries[place].all += 1
      entries[place].generated += generated
    } else {
      places[token] = entries.count
      entries.append(Entry(token: token, all: 1, generated: generated))
    }
  }

  private mutating func remove(_ token: TokenID, generated: Int32) {
    guard let place = places[token] else { preconditionFailure("a token left the window without having entered it") }
    entries[place].all -= 1
    entries[place].generated -= generated
    guard entries[place].all == 0 else { return }
    places[token] = nil
    let last = entries.removeLast()
    if last.token != token {
      entries[place] = last
      places[last.token] = place
    }
  }
}
