// The flags that choose what a sequence keeps of its KV. Policies join the catalog here; who takes these options need
// not change.

import ArgumentParser
import WeirBasics
import WeirKVCache

struct PolicyOptions: ParsableArguments {
  @Option(name: .customLong("kv-policy"), help: "What a sequence keeps of its KV: full.") var kvPolicy = "full"
  @Option(help: "What the policy may keep: token slots (512) or a share of the prompt (25%); full keeps everything.")
  var budget: String?

  /// Every policy by its name.
  static let catalog: [String: @Sendable (PolicyBudget?) throws -> KVPolicy] = [
    // It is what the others are compared with under the same flags, so it takes a budget and does not need it.
    "full": { _ in .keepEverything }
  ]

  /// - Throws: `PolicyError` for a name that is not in the catalog, or a budget that cannot be read.
  func policy() throws -> KVPolicy {
    let limit = try budget.map { text throws in try PolicyBudget(text) }
    guard let make = Self.catalog[kvPolicy] else {
      throw PolicyError(
        code: "unknown_policy",
        message: "--kv-policy is \(kvPolicy); known are \(Self.catalog.keys.sorted().joined(separator: ", "))")
    }
    return try make(limit)
  }

  func validate() throws { _ = try policy() }
}

/// How much a policy may keep of each lane.
enum PolicyBudget: Equatable {
  case slots(Int)
  /// Of the prompt, over 0 and at most 1.
  case share(Double)

  init(_ text: String) throws(PolicyError) {
    if let slots = Int(text), slots > 0 {
      self = .slots(slots)
    } else if text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0, percent <= 100 {
      self = .share(percent / 100)
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
