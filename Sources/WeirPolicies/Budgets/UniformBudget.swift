// The same number of slots for every lane.
//
// What: one number. Why: what every paper on eviction compares under; budgets by layer or head are decisions of their own.

public import WeirKVCache

/// Every layer and KV head keeps at most as many slots as every other.
public struct UniformBudget: LayerBudget, Equatable {
  /// At least 1.
  public let slots: Int

  /// - Parameter slots: most slots of a lane; less than 1 counts as 1.
  public init(slots: Int) { self.slots = max(1, slots) }

  public func budgetSlots(layer: Int, kvHead: Int) -> Int? { slots }
}
