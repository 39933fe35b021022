// What a KV policy may ask the engine to measure.

/// How the rows of a window, or the query heads of one KV head, become one number per slot.
public enum SignalReduction: String, Hashable, Sendable, CaseIterable {
  case sum, maximum, mean
}

/// A statistic of one lane, one number per slot unless stated. The engine computes only what the policy of a sequence
/// declares; the costs are those of the contract for KV policies.
///
/// Probabilities are those of the exact softmax over the slots that are resident when a row attends; the query heads
/// that share the lane's KV head are averaged. Rows are counted since the policy was asked last, so a window never
/// reaches back over a compaction.
public enum KVSignal: Hashable, Sendable {
  /// The keys as stored, after RoPE: `[slots, headDim]`. One pass over K.
  case keys
  /// Attention of the newest query row: `[slots]`. Free in decode, where the row exists.
  case lastRow
  /// Attention of the last `rows` query rows, reduced: `[slots]`. A small product with K.
  case windowRows(rows: Int, reduction: SignalReduction)
  /// Attention mass that each slot got from all rows of the chunk: `[slots]`. A second pass over QK.
  case columnSums
  /// Attention mass that each slot got since it was written: `[slots]`, f32. Before each later row (token) the mass is
  /// multiplied by `decay`, over 0 and at most 1; 1 is the plain sum (H2O). The engine keeps it and moves it with the
  /// slots. A second pass over QK.
  case accumulatedMass(decay: Float)
}

/// The declared statistics of one lane at one moment.
public struct LaneSignals: Sendable, Equatable {
  private let values: [KVSignal: [Float]]

  /// - Parameter values: per signal its numbers in the shape that `KVSignal` states.
  public init(_ values: [KVSignal: [Float]] = [:]) { self.values = values }

  /// The numbers of a signal, nil if the policy did not declare it.
  public subscript(signal: KVSignal) -> [Float]? { values[signal] }
}
