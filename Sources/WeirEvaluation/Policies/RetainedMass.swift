// How much of the full cache's attention falls on what a policy would have kept: the claim behind eviction, tested.
//
// The policy is asked where it is always asked first, at the end of the prompt, but nothing is dropped: the answer comes
// from the full cache, and the attention of every generated token is added up by slot. So the figure does not suffer from
// what earlier evictions did to the answer. It costs a question and a column of sums per token: only where it is asked for.

import Synchronization
import WeirBasics
public import WeirKVCache

/// Sums of attention, written by the step loop's pool threads.
public final class MassLog: Sendable {
  private struct Sums {
    var kept = 0.0
    var all = 0.0
  }

  private let sums = Mutex(Sums())

  public init() {}

  func add(kept: Double, all: Double) {
    sums.withLock {
      $0.kept += kept
      $0.all += all
    }
  }

  /// The share of all mass since the last call that fell on kept slots; nil without any. Slots that came after the cut
  /// count as kept.
  public func take() -> Double? {
    sums.withLock { sums in
      defer { sums = Sums() }
      return sums.all > 0 ? sums.kept / sums.all : nil
    }
  }
}

/// Makes policies that look on: they say what they would keep, and everything stays.
public struct OnlookingPolicies: KVPolicyResolver {
  private let base: any KVPolicyResolver
  private let log: MassLog

  /// - Parameters:
  ///   - base: makes the policies that are judged.
  ///   - log: gets the sums.
  public init(base: any KVPolicyResolver, log: MassLog) {
    self.base = base
    self.log = log
  }

  public func policy(for request: KVPolicyRequest, facts: KVPolicyFacts) throws -> KVPolicy {
    let judged = try base.policy(for: request, facts: facts)
    guard judged.budget.budgetSlots(layer: 0, kvHead: 0) != nil else { return judged }
    // Asked at the end of the prompt and after every token.
    return KVPolicy(
      retention: Onlooker(judged: judged, log: log), signals: judged.signals.union([.columnSums]),
      floors: RetentionFloors(sinkSlots: 0, recentSlots: 0),
      cadence: RetentionCadence(chunkTokens: nil, slackSlots: 0, asksWithinBudget: true), scope: judged.scope)
  }
}

/// Keeps everything, and remembers for one sequence what another policy would have kept.
final class Onlooker: Retention {
  private let judged: KVPolicy
  private let log: MassLog
  /// By lane, whether each slot of the prompt would have stayed.
  private let stays = Mutex<[Int: [Bool]]>([:])

  init(judged: KVPolicy, log: MassLog) {
    self.judged = judged
    self.log = log
  }

  func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    let name = lane.layer << 16 | lane.kvHead
    guard moment == .stepDone else {
      var marks = Array(repeating: false, count: lane.slots)
      for slot in judged.retained(in: lane, signals: signals, moment: moment).indices(slots: lane.slots) {
        marks[slot] = true
      }
      stays.withLock { $0[name] = marks }
      return .all
    }
    let marks = stays.withLock { $0[name] ?? [] }
    let masses = signals[.columnSums] ?? []
    var (kept, all) = (0.0, 0.0)
    for (slot, mass) in masses.enumerated() {
      all += Double(mass)
      if slot >= marks.count || marks[slot] { kept += Double(mass) }
    }
    log.add(kept: kept, all: all)
    return .all
  }
}
