// Sequences that come from another node with their KV: they run at once, without having waited here.

import WeirBasics
public import WeirKVCache

extension Scheduler {
  /// Whether one more sequence of `tokens` known tokens could start to run now, with its KV coming from elsewhere.
  ///
  /// The owner raises ``expectedArrivals`` when it starts to fetch and lowers it when the KV is here or does not come,
  /// so that ordinary admission and arrivals together stay within the limit of running sequences.
  public func hasPlaceForArrival(tokens: Int, pool: BlockPool) -> Bool {
    guard placesTaken + expectedArrivals < configuration.runningLimit else { return false }
    let taken = running.count + expectedArrivals
    // As in ordinary admission: one growth block for each that runs or is on its way.
    return taken == 0 || pool.availableBlocks >= pool.shape.blockCount(tokens: tokens + 1) + taken
  }

  /// Takes over a sequence whose first `computed` tokens have their KV in `table`.
  ///
  /// - Parameters:
  ///   - submission: as for ``submit(_:pool:)``; it has been checked.
  ///   - table: this sequence's own from now on, already committed up to `computed` slots.
  ///   - computed: at least one token less than the submission has: the last one must be computed for its logits. All of
  ///     them under a KV policy that has been asked after the last one: the caller has its logits then.
  ///   - cachedTokens: how many of them this node's prefix tree gave.
  public mutating func adopt(
    _ submission: Submission, table: BlockTable, computed: Int, cachedTokens: Int
  ) -> Sequence {
    precondition(
      computed < submission.tokens.count || (computed == submission.tokens.count && submission.lanes != nil),
      "nothing is left to compute the next token from")
    let sequence = takeSequence(submission)
    sequence.table = table
    sequence.computed = computed
    sequence.cachedTokens = cachedTokens
    sequence.wasAdmitted = true
    sequence.peakBlocks = table.blocks.count
    sequence.state = .running
    insert((key(of: sequence), sequence), into: &running)
    return sequence
  }
}
