// Whether a policy that numbers slots anew can run: asked of every request, and of the default policy at the start.

import WeirBasics
import WeirKVCache
import WeirModels

/// Why slots cannot be numbered anew.
struct NumberingRefusal {
  /// Goes on behind "numbers slots anew, ".
  let reason: String
  /// What would be right.
  let remedy: String
  /// The flag that stands in the way, beside the policy's own.
  let flag: String

  /// Nil: nothing stands in the way.
  ///
  /// - Parameters:
  ///   - policy: of the request.
  ///   - model: what it runs on.
  ///   - shape: how keys are stored.
  ///   - tokens: of prompt and answer.
  init?(policy: KVPolicy, model: DecoderDescription, shape: KVShape, tokens: Int) {
    guard policy.numbering == .slots else { return nil }
    remedy = "positions of the text work everywhere"
    if !model.turnsKeys {
      (reason, flag) = ("but no key of this model is rotated", "the model")
    } else if shape.keyType.isGrouped {
      reason =
        "but turning \(shape.keyType.rawValue) keys would round them anew at every cut: the engine needs f16 or f32 keys"
      flag = "--kv-key-dtype"
    } else if policy.selection.readSlots != nil {
      (reason, flag) = ("and selects, but what it selects by would not turn with the keys", "--kv-policy")
    } else {
      // Sinks are the first keys to leave a window that is shorter than the lane; the model would then go on without any.
      let window = model.layerKinds.map(\.window).filter { $0 > 0 }.min() ?? .max
      let budget =
        (0..<shape.layers * shape.kvHeads).map {
          policy.budget.budgetSlots(layer: $0 / shape.kvHeads, kvHead: $0 % shape.kvHeads) ?? 0
        }.max() ?? 0
      let growth = max(policy.cadence.chunkTokens ?? 0, policy.cadence.slackSlots + 1)
      let slots = min(tokens, budget + growth)
      guard tokens > budget, slots > window else { return nil }
      reason =
        "but a lane of \(slots) slots is longer than this model's window of \(window), which its sinks would leave: the "
        + "budget may be at most \(max(0, window - growth)) slots (a lane grows by \(growth) between two cuts)"
      flag = "--budget"
    }
  }
}
