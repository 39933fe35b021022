// What is summed of attention.

/// How the attention of some rows becomes one number per slot.
public struct MassTally: Sendable, Equatable {
  /// Of the rows at hand, those before it are left out.
  public var firstRow: Int
  /// What was there is multiplied by it before each row is added.
  public var decay: Float
  /// The largest probability instead of the sum.
  public var isMaximum: Bool

  public init(firstRow: Int = 0, decay: Float = 1, isMaximum: Bool = false) {
    self.firstRow = firstRow
    self.decay = decay
    self.isMaximum = isMaximum
  }
}
