// KV that may be fetched while its prompt is still being computed: finished blocks go as they become full.

public import WeirBasics
public import WeirKVCache

extension HandoffNode {
  /// Lets another node fetch a prompt's KV from now on, and sends it block by block as it is computed.
  ///
  /// Call `extend` after every chunk, then `complete`; or `abandon`. It does not end by itself meanwhile.
  /// - Parameters:
  ///   - request: what the KV is for.
  ///   - table: the sequence's own; it has room for the whole prompt. The node holds its full blocks only
  ///     (`BlockPool.follower`), so the sequence writes on undisturbed.
  ///   - tokens: the whole prompt.
  ///   - positions: what may be fetched, from 0.
  /// - Returns: the name that the receiver must give.
  public func holdOpen(
    _ request: RequestID, table: BlockTable, tokens: [TokenID], positions: Range<Position>
  ) -> HandoffID {
    precondition(positions.lowerBound == 0 && !positions.isEmpty, "what is kept starts at position 0")
    let id = takeID()
    let count = pool.shape.blockCount(tokens: positions.upperBound)
    held[id] = Held(
      request: request, table: pool.follower(of: table), tokens: tokens, positions: positions, payload: [],
      deadline: nil, foreseen: Array(table.blocks.prefix(count)))
    return id
  }

  /// The sequence has filled more: its full blocks may be sent. Nothing happens if the handoff is over.
  public func extend(_ id: HandoffID, from table: BlockTable, slots: Int) {
    guard let (filled, source) = advance(id, from: table, slots: slots / pool.shape.blockSlots * pool.shape.blockSlots)
    else { return }
    handle(id, SenderHandoff.Event.filled(slots: filled, source: source))
  }

  /// The prompt is computed: the last block goes too, partly filled, and who has not fetched yet may until `deadline`.
  ///
  /// The sequence must not write into its last block any more: `BlockPool.reserve` gives it a copy.
  public func complete(_ id: HandoffID, from table: BlockTable, until deadline: Instant) {
    guard let (filled, source) = advance(id, from: table, slots: table.filledSlots) else { return }
    held[id]?.deadline = deadline
    handle(id, SenderHandoff.Event.finished(slots: filled, payload: [], source: source))
  }

  /// The prompt will not be computed to its end.
  public func abandon(_ id: HandoffID) {
    if !drop(id, .cancelled) { handle(id, SenderHandoff.Event.cancel) }
  }

  /// Takes hold of what was filled: slots of the sent positions, and all their blocks as they are foreseen now. Nil if
  /// the handoff is over.
  private func advance(_ id: HandoffID, from table: BlockTable, slots: Int) -> (filled: Int, source: [BlockID])? {
    guard let positions = held[id]?.positions ?? senders[id]?.handoff.offer.positions,
      var follower = held[id]?.table ?? senders[id]?.table
    else { return nil }
    guard pool.follow(table, with: &follower, slots: min(slots, positions.upperBound)) else {
      abandon(id)
      return nil
    }
    let foreseen = table.blocks.prefix(pool.shape.blockCount(tokens: positions.upperBound))
    held[id]?.table = follower
    held[id]?.foreseen = Array(foreseen)
    senders[id]?.table = follower
    return (
      max(0, follower.filledSlots - positions.lowerBound),
      Array(foreseen[(positions.lowerBound / pool.shape.blockSlots)...])
    )
  }
}
