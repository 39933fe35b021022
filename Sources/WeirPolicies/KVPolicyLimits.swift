// What the operator lets requests ask for.

/// Bounds on the KV policies that requests may name; the default allows all.
public struct KVPolicyLimits: Sendable, Equatable {
  /// Nil: every policy of the catalogue.
  public var allowed: Set<KVPolicyKey>?
  /// Largest budget in slots of a lane, for the policies that take one; nil: no bound but the catalogue's. `full` keeps
  /// everything whatever this says: leave it out of `allowed` where that is not wanted.
  public var slotsMax: Int?

  public init(allowed: Set<KVPolicyKey>? = nil, slotsMax: Int? = nil) {
    self.allowed = allowed
    self.slotsMax = slotsMax
  }

  /// - Throws: `policy_not_allowed`, with the policies that are.
  func check(_ key: KVPolicyKey) throws(KVPolicyError) {
    guard let allowed, !allowed.contains(key) else { return }
    let names = KVPolicyKey.allCases.filter(allowed.contains).map(\.rawValue).joined(separator: ", ")
    throw KVPolicyError(
      "policy_not_allowed", "this server does not run the KV policy \(key.rawValue); requests may name \(names)")
  }

  /// - Throws: `invalid_policy_budget`, with the largest that is allowed.
  func check(slots: Int, of key: KVPolicyKey) throws(KVPolicyError) {
    guard let slotsMax, slots > slotsMax else { return }
    throw KVPolicyError(
      "invalid_policy_budget",
      "\(key.rawValue) would keep \(slots) slots of a lane for this prompt; this server allows at most \(slotsMax)")
  }
}
