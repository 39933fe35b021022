// How many slots per layer and head?

/// Divides a sequence's KV budget over its lanes. A pure function.
public protocol LayerBudget: Sendable {
  /// Most slots that the lane of (`layer`, `kvHead`) may keep; nil for no limit.
  func budgetSlots(layer: Int, kvHead: Int) -> Int?
}
