// When a retention policy is asked, and about how many lanes at once.

/// The places of a sequence at which its policy is asked. They depend on positions and counts alone, never on how a
/// prompt was cut into steps, so batch, step size and preemption change nothing.
///
/// A lane holds at most its budget plus the larger of `chunkTokens` (while the prompt is computed, if chunks are asked
/// about) and `slackSlots + 1` (while tokens are generated).
public struct RetentionCadence: Sendable, Equatable {
  /// Tokens of the prompt between two questions `prefillChunkDone`, at least 1: asked at multiples of it. Nil: the
  /// policy is asked only at the end of the prompt, which is held whole until then.
  public var chunkTokens: Int?
  /// Slots that a lane may hold over its budget while tokens are generated: `stepDone` is asked once in
  /// `slackSlots + 1` tokens, and only then are slots moved.
  public var slackSlots: Int
  /// Ask also while every lane is within its budget, for policies that drop slots without being forced to.
  public var asksWithinBudget: Bool
  /// Ask no more once the prompt has been asked about: lanes then grow with every generated token.
  public var endsWithPrompt: Bool

  /// - Precondition: `chunkTokens` is at least 1, `slackSlots` at least 0.
  public init(
    chunkTokens: Int? = 256, slackSlots: Int = 16, asksWithinBudget: Bool = false, endsWithPrompt: Bool = false
  ) {
    precondition(chunkTokens ?? 1 > 0 && slackSlots >= 0, "a cadence needs chunks of at least one token")
    self.chunkTokens = chunkTokens
    self.slackSlots = slackSlots
    self.asksWithinBudget = asksWithinBudget
    self.endsWithPrompt = endsWithPrompt
  }
}

/// For how many lanes one answer holds.
public enum RetentionScope: String, Sendable, CaseIterable {
  /// Every (layer, KV head) is asked about and keeps its own slots.
  case head
  /// A layer is asked about once, as its KV head 0, and all its heads keep the same slots. Signals are the mean over
  /// the layer's heads (TOVA); `keys` are those of all heads, `[slots, kvHeads * headDim]`.
  case layer
}

/// What the rotary embedding of a sequence counts.
public enum SlotNumbering: String, Sendable, CaseIterable {
  /// The token's place in the text, for ever.
  case text
  /// The slot's place in its lane: a key is turned back by as many slots as were dropped before it, and a row comes
  /// behind the slots that are left, so that no distance is longer than the lane. All lanes must keep equally many slots,
  /// and nothing may be selected.
  case slots
}
