// What can go wrong on the way, as numbers.

/// Faults that a `LoopbackNetwork` injects, drawn from its seed. Chances are `0...1`.
public struct LoopbackFaults: Sendable, Equatable {
  /// Seconds from posting to arrival, drawn evenly; pieces overtake each other when the ends differ.
  public var delaySeconds: ClosedRange<Double> = 0...0
  /// A piece never arrives: its call ends at the deadline.
  public var dropPiece = 0.0
  /// One bit of a piece is flipped on the way.
  public var corruptPiece = 0.0
  public var dropMessage = 0.0
  public var duplicateMessage = 0.0
  /// One bit of a message is flipped.
  public var corruptMessage = 0.0
  /// A message is overtaken by later ones.
  public var reorderMessage = 0.0
  /// After a message, an old message of the same direction comes again.
  public var replayMessage = 0.0
  /// The link breaks after this many bytes of pieces, in the middle of one.
  public var cutAfterBytes: Int?

  public init() {}
}
