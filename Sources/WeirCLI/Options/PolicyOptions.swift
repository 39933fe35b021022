// The flags that choose what a sequence keeps of its KV. Who takes these options need not change when a policy joins the
// catalogue.

import ArgumentParser
import WeirBasics
import WeirEngine
import WeirKVCache
import WeirPolicies

struct PolicyOptions: ParsableArguments {
  @Option(
    name: .customLong("kv-policy"),
    help: ArgumentHelp(
      "What a sequence keeps of its KV: \(KVPolicyKey.allCases.map(\.rawValue).joined(separator: ", ")); with the "
        + "policy's own parameters, for example h2o:decay=0.99,slack=0."))
  var kvPolicy = "full"
  @Option(
    help: "What the policy may keep: token slots of each layer and KV head (512) or a share of the prompt (25%).")
  var budget: String?
  @Option(
    name: .customLong("allowed-kv-policies"),
    help: "The policies that requests may name, comma separated, the default one among them; without it all.")
  var allowedPolicies: String?
  @Option(name: .customLong("max-kv-budget"), help: "Largest budget that a request may name, in token slots.")
  var maxKVBudget: Int?

  private func limits() throws -> KVPolicyLimits {
    var limits = KVPolicyLimits(slotsMax: maxKVBudget)
    if let maxKVBudget, maxKVBudget < KVPolicyCatalogue.slotsMin {
      throw PolicyError(
        code: "invalid_budget",
        message: "--max-kv-budget is \(maxKVBudget); it must be at least \(KVPolicyCatalogue.slotsMin)")
    }
    guard let allowedPolicies else { return limits }
    limits.allowed = try Set(
      allowedPolicies.split(separator: ",").map { name in
        guard let key = KVPolicyKey(rawValue: String(name)) else {
          throw PolicyError(
            code: "unknown_policy",
            message: "--allowed-kv-policies names \(name); there are "
              + KVPolicyKey.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return key
      })
    return limits
  }

  /// What the flags ask for; nil: the full cache.
  /// - Throws: `PolicyError` for a budget that cannot be read, or the catalogue's error.
  func request() throws -> KVPolicyRequest? {
    let request = KVPolicyRequest(
      name: kvPolicy, budget: try budget.map { text throws in try KVPolicyRequest.Budget(flag: text) })
    // Whatever is wrong with it is said before a model is loaded.
    _ = try KVPolicyCatalogue(limits: limits()).policy(
      for: request, facts: KVPolicyFacts(promptTokens: 1, layers: 1, kvHeads: 1))
    return kvPolicy == KVPolicyKey.full.rawValue ? nil : request
  }

  func validate() throws { _ = try request() }

  /// Gives an engine the catalogue, and these flags as the policy of requests that name none.
  func apply(to configuration: inout EngineConfiguration) throws {
    configuration.policies = KVPolicyCatalogue(limits: try limits())
    configuration.kvPolicy = try request()
  }
}

extension KVPolicyRequest {
  /// A policy of a comparison, cut by `chunk` unless it names chunks itself; what is wrong with it is known before a model
  /// is loaded.
  init(candidate policy: String, budget: Budget, chunk: String) throws {
    let plain = KVPolicyRequest(name: policy, budget: budget)
    self = policy.contains("chunk=") ? plain : plain.adding("chunk", chunk)
    _ = try KVPolicyCatalogue().policy(for: self, facts: KVPolicyFacts(promptTokens: 1 << 20, layers: 1, kvHeads: 1))
  }
}

extension KVPolicyRequest.Budget {
  /// Reads `512` or `25%`.
  init(flag text: String) throws(PolicyError) {
    if let slots = Int(text), slots > 0 {
      self = .slots(slots)
    } else if text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0, percent <= 100 {
      self = .ratio(percent / 100)
    } else {
      throw PolicyError(
        code: "invalid_budget",
        message: "--budget is \(text); it must be a number of token slots, for example 512, or a share such as 25%")
    }
  }
}

struct PolicyError: WeirError, Equatable {
  let code: String
  let message: String
}
