internal import CWeirKernels
public import WeirBasics

// Sizes before anything is packed.

extension WeightMatrix {
  /// Bytes that a matrix of this shape takes when packed, or nil if it cannot be packed (see `init`). O(1).
  public static func packedBytes(rows: Int, columns: Int, type: TensorType) -> Int? {
    var plan = weir_weights()
    guard rows >= 0, columns >= 0, weir_weights_plan(Int32(type.rawValue), Int64(rows), Int64(columns), &plan) else {
      return nil
    }
    return Int(plan.panels * (plan.panel_value_bytes + plan.panel_scale_bytes))
  }
}
