// KV policies that exist only to test the engine: simple, pure, and different from each other.

import Weir
import WeirKVCache

/// Keeps the slots with the largest scores; ties go to the lower position.
private struct Scored: Retention {
  let score: @Sendable (LaneView, LaneSignals) -> [Float]

  func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet {
    guard let budgetSlots, budgetSlots < lane.slots else { return .all }
    let scores = score(lane, signals)
    precondition(scores.count == lane.slots, "\(scores.count) scores for \(lane.slots) slots")
    let best = scores.indices.sorted { (scores[$1], $0) < (scores[$0], $1) }.prefix(budgetSlots)
    return .only(best.sorted())
  }
}

/// The same number of slots everywhere, or fewer in some lanes.
private struct Slots: LayerBudget {
  let slots: Int
  var isRagged = false
  func budgetSlots(layer: Int, kvHead: Int) -> Int? {
    isRagged ? slots - (5 * layer + 11 * kvHead) % (slots / 2) : slots
  }
}

private struct Unlimited: LayerBudget {
  func budgetSlots(layer: Int, kvHead: Int) -> Int? { nil }
}

/// The resolver that tests hand to an engine.
struct TestPolicies: KVPolicyResolver {
  static let names = ["last", "hash", "ragged", "heavy", "faded", "row", "layer-row", "window", "columns", "keys"]
  static let chunkTokens = 32
  static let slackSlots = 5
  static let cadence = RetentionCadence(chunkTokens: chunkTokens, slackSlots: slackSlots)

  struct Unknown: WeirError {
    let code = "unknown_policy"
    let message: String
  }

  func policy(for request: KVPolicyRequest, facts: KVPolicyFacts) throws -> KVPolicy {
    guard let slots = request.budgetSlots(promptTokens: facts.promptTokens) else {
      guard request.name == "identity" else { return .keepEverything }
      return KVPolicy(
        budget: Unlimited(),
        cadence: RetentionCadence(chunkTokens: Self.chunkTokens, slackSlots: 0, asksWithinBudget: true))
    }
    func made(
      _ signal: KVSignal?, isRagged: Bool = false, scope: RetentionScope = .head,
      _ score: @escaping @Sendable (LaneView, LaneSignals) -> [Float]
    ) -> KVPolicy {
      KVPolicy(
        retention: Scored(score: score), budget: Slots(slots: slots, isRagged: isRagged),
        signals: signal.map { [$0] } ?? [], floors: RetentionFloors(sinkSlots: 1, recentSlots: 2),
        cadence: Self.cadence,
        scope: scope)
    }
    func told(_ signal: KVSignal, isRagged: Bool = false, scope: RetentionScope = .head) -> KVPolicy {
      made(signal, isRagged: isRagged, scope: scope) { $1[signal] ?? [] }
    }
    let byHash: @Sendable (LaneView, LaneSignals) -> [Float] = { lane, _ in
      lane.positions.map { position in
        var generator = SeededGenerator(seed: UInt64(position * 64 + lane.layer * 8 + lane.kvHead))
        return Float(generator.next() >> 40)
      }
    }
    switch request.name {
    case "last": return made(nil) { lane, _ in lane.positions.map(Float.init) }
    case "hash": return made(nil, byHash)
    case "ragged": return made(nil, isRagged: true, byHash)
    case "heavy": return told(.accumulatedMass(decay: 1), isRagged: true)
    case "faded": return told(.accumulatedMass(decay: 0.9))
    case "row": return told(.lastRow)
    case "layer-row": return told(.lastRow, scope: .layer)
    case "window": return told(.windowRows(rows: 8, reduction: .mean))
    case "columns": return told(.columnSums)
    case "keys":
      return made(.keys) { lane, signals in
        let keys = signals[.keys] ?? []
        let size = keys.count / max(1, lane.slots)
        return lane.positions.indices.map { slot in
          keys[slot * size..<(slot + 1) * size].reduce(0) { $0 + $1 * $1 }
        }
      }
    default: throw Unknown(message: "there is no policy \(request.name)")
    }
  }
}

extension EngineFixture {
  /// An engine that knows the test policies.
  static func policyEngine(_ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
    try engine {
      $0.policies = TestPolicies()
      change(&$0)
    }
  }

  /// A request under a policy; nil: the full cache.
  static func request(
    _ prompt: [TokenID], policy: String?, budget: Int?, maxTokens: Int? = 40
  ) -> GenerationRequest {
    var request = request(prompt, name: policy ?? "full")
    request.maxTokens = maxTokens
    request.kvPolicy = policy.map { KVPolicyRequest(name: $0, budget: budget.map { .slots($0) }) }
    request.topLogprobs = 2
    return request
  }
}
