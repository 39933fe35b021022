// Requests for the KV policies of the catalogue: one line per policy is all that a new one needs to be tested by the
// conformance suite.

import WeirKVCache
import WeirPolicies

/// What the conformance suite may expect of a policy.
struct KVPolicySample: CustomStringConvertible, Sendable {
  let key: KVPolicyKey
  /// Behind the name, without the cadence.
  var parameters = ""
  /// Positions and nothing else decide, so the answer does not depend on where the prompt is cut.
  var isChunkInvariant = false
  /// Positions that stay or go together, so that up to one less of the budget may stay empty.
  var pageSlots = 1

  var description: String { key.rawValue }

  static let all: [KVPolicySample] = [
    KVPolicySample(key: .full, isChunkInvariant: true),
    KVPolicySample(key: .sinkRecent, isChunkInvariant: true),
    KVPolicySample(key: .sinkRecent, parameters: "positions=slots", isChunkInvariant: true),
    KVPolicySample(key: .tova),
    KVPolicySample(key: .snapkv),
    KVPolicySample(key: .keydiff),
    KVPolicySample(key: .h2o),
    KVPolicySample(key: .h2o, parameters: "page=4", pageSlots: 4),
    KVPolicySample(key: .h2o, parameters: "page=16,recent_share=0", pageSlots: 16),
    KVPolicySample(key: .random, parameters: "seed=5", isChunkInvariant: true),
    KVPolicySample(key: .oracle, parameters: "spans=30-40+70-72", isChunkInvariant: true),
  ]

  func policy(
    budget: KVPolicyRequest.Budget? = .slots(24), cadence: String = "", prompt: Int = 200
  ) throws -> KVPolicy {
    let all = [parameters, key == .full ? "" : cadence].filter { !$0.isEmpty }.joined(separator: ",")
    return try KVPolicyCatalogue().policy(
      for: KVPolicyRequest(name: all.isEmpty ? key.rawValue : "\(key.rawValue):\(all)", budget: budget),
      facts: KVPolicyFacts(promptTokens: prompt, layers: 4, kvHeads: 2))
  }
}
