// What one step computes, as a value.

public import WeirBasics

/// One turn of the loop: which rows of which sequences are computed.
public struct StepPlan: Sendable, Equatable {
  /// The rows of one sequence in this step: token indices `tokens`, consecutive.
  public struct Entry: Sendable, Equatable {
    public var sequence: SequenceID
    public var tokens: Range<Int>
    /// Whether the last row ends the known tokens, so that its logits give the next one.
    public var completesTokens: Bool
  }

  public var entries: [Entry] = []
  /// Sequences that were admitted for the first time in this step.
  public var admitted: [SequenceID] = []
  /// Sequences that gave their blocks back in this step.
  public var preempted: [SequenceID] = []

  public init() {}

  public var isEmpty: Bool { entries.isEmpty }
  public var rowCount: Int { entries.reduce(0) { $0 + $1.tokens.count } }
}
