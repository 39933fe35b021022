// Seam: who is next? Papers' answers live in WeirPolicies/Ordering.

public import WeirBasics

/// What an order may know of one waiting sequence.
public struct QueueFacts: Sendable {
  public var priority: Int
  public var arrival: UInt64
  public var promptTokens: Int
  public var request: RequestID

  public init(priority: Int, arrival: UInt64, promptTokens: Int, request: RequestID) {
    self.priority = priority
    self.arrival = arrival
    self.promptTokens = promptTokens
    self.request = request
  }
}

/// An ordered key: smaller runs first; `arrival` breaks ties, so an order is always total.
public struct QueueKey: Comparable, Sendable {
  public var rank: Double
  public var arrival: UInt64

  public init(rank: Double, arrival: UInt64) {
    self.rank = rank
    self.arrival = arrival
  }

  public static func < (a: QueueKey, b: QueueKey) -> Bool { (a.rank, a.arrival) < (b.rank, b.arrival) }
}

/// Orders waiting sequences, and running ones when somebody must give blocks back (the last in order is preempted).
public protocol QueueOrder: Sendable {
  /// The key of one sequence; must not change while the sequence waits.
  func key(_ facts: QueueFacts) -> QueueKey
}

/// The default: by priority, then first come first served.
public struct FirstCome: QueueOrder {
  public init() {}
  public func key(_ facts: QueueFacts) -> QueueKey {
    QueueKey(rank: Double(facts.priority), arrival: facts.arrival)
  }
}
