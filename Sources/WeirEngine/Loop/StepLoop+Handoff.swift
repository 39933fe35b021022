// Handing KV to other nodes and taking theirs, between two steps.
//
// The step loop owns the pool, so it posts transfers and looks after them; a transport may move bytes meanwhile. Every
// refusal ends in the same place: the request is queued like any other and its prompt is computed here.

import WeirBasics
import WeirKVCache
import WeirKVTransfer
import WeirScheduling

extension StepLoop {
  /// Makes progress with transfers; one comparison in an engine without any.
  ///
  /// - Parameter admits: whether new sequences may start.
  func tendHandoffs(admits: Bool) {
    guard let desk else { return }
    for news in desk.node.poll() { take(news, desk) }
    for arrival in desk.late(clock.now()) { giveUp(arrival, HandoffRefusal.leaseEnded.code, desk) }
    if admits { startArrivals(desk) }
  }

  /// Counts for the published status.
  var handoffStatus: HandoffReport {
    var report = handoffs
    if let desk {
      report.address = desk.node.address
      report.held = desk.node.heldHandoffs
      report.arriving = desk.arrivals.count
      report.transfer = desk.node.meters
    }
    return report
  }

  // MARK: receiving

  /// Lets a request wait for its KV. False: it must be queued as an ordinary one, and the reason is noted.
  func expect(_ live: LiveRequest, _ submission: Submission, _ ticket: HandoffTicket) throws -> Bool {
    try scheduler.check(submission, pool: pool)
    var refusal: String?
    if live.isEmbedding || live.request.promptLogprobs != nil {
      // They need every row of the prompt, not only its KV.
      refusal = "needs_every_row"
    } else if let desk {
      let deadline = live.submitted.advanced(bySeconds: desk.options.arrivalSeconds)
      if !ticket.isSealed(by: desk.options.authenticator) {
        refusal = "unsealed_ticket"
      } else if desk.add(
        Arrival(
          live: live, submission: submission, ticket: ticket, deadline: deadline,
          policyHash: submission.lanes.flatMap { _ in policyHash(of: live.request) }))
      {
        return true
      } else {
        refusal = "ticket_in_use"
      }
    } else {
      refusal = "no_transport"
    }
    note(refusal, for: live)
    return false
  }

  private func startArrivals(_ desk: HandoffDesk) {
    while let arrival = desk.next {
      let tokens = arrival.submission.tokens
      guard scheduler.hasPlaceForArrival(tokens: tokens.count, pool: pool) else { return }
      desk.leaveQueue(arrival)
      scheduler.expectedArrivals += 1
      if arrival.readsCache {
        let match = pool.match(tokens, salt: arrival.submission.salt, limit: tokens.count - 1)
        guard match.tokens < arrival.ticket.tokens else {
          // Nothing is missing: the ordinary way finds it all in the tree.
          giveUp(arrival, nil, desk)
          continue
        }
        arrival.cachedTokens = match.blocks.count * pool.shape.blockSlots
        arrival.explanation = match.explanation
      }
      if let refusal = desk.start(arrival) { giveUp(arrival, refusal, desk) }
    }
  }

  private func take(_ news: HandoffNews, _ desk: HandoffDesk) {
    switch news {
    case .connected(let peer, let introduction):
      desk.noteName(introduction, of: peer)
      desk.noteConnected(peer)
    case .lost(let peer, let error):
      let waiting = desk.arrivals(with: peer)
      desk.noteLost(peer)
      // Room that the peer may still write into stays the node's; the request takes other room.
      for arrival in waiting { giveUp(arrival, error.kind.rawValue, desk) }
    case .adopted(let receipt): adopt(receipt, desk)
    case .progress(let id): desk.noteProgress(id)
    case .notReceived(let id, _, let reason):
      if let arrival = desk.arrivals[id] { giveUp(arrival, reason.code, desk) }
    case .sent(_, let outcome):
      switch outcome {
      case .adopted: handoffs.sent += 1
      case .refused(let reason): handoffs.sendFailures[reason.code, default: 0] += 1
      }
    case .dropped(_, _, let reason): if reason == .leaseEnded { handoffs.expired += 1 }
    case .refused(_, let reason): handoffs.refusedMessages[reason.code, default: 0] += 1
    case .fault: handoffs.faults += 1
    }
  }

  /// KV has come, checked: the request runs from there.
  private func adopt(_ receipt: HandoffReceipt, _ desk: HandoffDesk) {
    guard let arrival = desk.take(receipt.id) else {
      // Its request has ended meanwhile.
      pool.close(receipt.table, tokens: [], filledSlots: 0, salt: receipt.table.salt, keep: false)
      return
    }
    scheduler.expectedArrivals -= 1
    let (live, submission) = (arrival.live, arrival.submission)
    if arrival.policyHash != nil { return adoptLanes(receipt, arrival) }
    if let part = receipt.firstDifference(
      request: arrival.ticket.request, tokens: arrival.usableTokens, salt: submission.salt)
    {
      pool.close(receipt.table, tokens: [], filledSlots: 0, salt: receipt.table.salt, keep: false)
      noteHandoff(arrival, receipt, refusal: HandoffRefusal.tag(part).code)
      computeHere(live, submission, HandoffRefusal.tag(part).code)
      return
    }
    noteHandoff(arrival, receipt)
    let positions = receipt.offer.positions
    var table = receipt.table
    pool.commit(&table, tokens: submission.tokens, filledSlots: positions.upperBound, salt: submission.salt)
    let sequence = scheduler.adopt(
      submission, table: table, computed: positions.upperBound, cachedTokens: positions.lowerBound)
    begin(sequence, of: arrival, receipt)
  }

  /// A sequence whose KV came belongs to its request.
  func begin(_ sequence: Sequence, of arrival: Arrival, _ receipt: HandoffReceipt) {
    let (live, positions) = (arrival.live, receipt.offer.positions)
    let seconds = clock.now().seconds(since: live.submitted)
    live.arrival = ArrivalReport(tokens: positions.count, seconds: seconds)
    handoffs.received += 1
    handoffs.receivedTokens += UInt64(positions.count)
    handoffs.receivedBytes += UInt64(receipt.wireBytes)
    arrivalSeconds.observe(seconds)
    handoffs.arrivalSeconds = arrivalSeconds.snapshot
    if let leader = live.choices.first {
      leader.sequence = sequence.id
      owners[sequence.id] = (live, leader)
    }
    sequence.explanation = arrival.explanation
    noteAdmission(sequence.id, at: clock.now())
  }

  /// Ends the wait for KV; nil: nothing was missing.
  private func giveUp(_ arrival: Arrival, _ reason: String?, _ desk: HandoffDesk) {
    drop(arrival, desk)
    if reason != nil { noteHandoff(arrival, refusal: reason) }
    computeHere(arrival.live, arrival.submission, reason)
  }

  /// Takes an arrival away; its room goes back when its sender is quiet.
  private func drop(_ arrival: Arrival, _ desk: HandoffDesk) {
    let hadPlace = !desk.queue.contains(arrival.ticket.id)
    guard desk.take(arrival.ticket.id) != nil else { return }
    if hadPlace { scheduler.expectedArrivals -= 1 }
    if case .fetching = arrival.state { desk.node.cancel(arrival.ticket.id) } else { desk.decline(arrival.ticket) }
  }

  func computeHere(_ live: LiveRequest, _ submission: Submission, _ reason: String?) {
    note(reason, for: live)
    do {
      try enqueue(live, submission)
    } catch {
      let failure = EngineError(wrapping: error)
      meters.countFailure(failure.code)
      self.live[live.ticket] = nil
      live.fail(failure)
    }
  }

  func noteHandoff(_ arrival: Arrival, _ receipt: HandoffReceipt? = nil, refusal: String? = nil) {
    let now = clock.now()
    var record = HandoffRecord(
      request: arrival.live.request.id, sender: arrival.ticket.address, ended: now,
      seconds: now.seconds(since: arrival.live.submitted), refusal: refusal)
    if let receipt {
      let first = receipt.offer.positions.lowerBound / pool.shape.blockSlots
      record.tokens = receipt.offer.positions.count
      record.bytes = receipt.wireBytes
      // What was converted came to the staging area, in the sender's runs.
      record.runs =
        receipt.wasConverted
        ? receipt.offer.runLengths.count
        : TransferPlan.coRunCount(
          runLengths: receipt.offer.runLengths, destination: Array(receipt.table.blocks.dropFirst(first)))
    }
    recent.note(record)
  }

  private func note(_ reason: String?, for live: LiveRequest) {
    live.arrival = ArrivalReport(tokens: 0, seconds: clock.now().seconds(since: live.submitted), refusal: reason)
    if let reason { handoffs.recomputed[reason, default: 0] += 1 }
  }

  /// The request was given up while it waited for its KV.
  func forgetArrival(of live: LiveRequest) {
    guard let desk, let arrival = desk.arrival(of: live) else { return }
    drop(arrival, desk)
  }

  // MARK: sending

  /// Keeps the prompt's KV of an answer that ends, if its client asked for that: the blocks get a second owner.
  func holdForFetch(_ request: LiveRequest, _ id: SequenceID) {
    guard request.request.handsOver, request.handoff == nil, let desk, let sequence = scheduler.sequence(id),
      let table = sequence.table
    else { return }
    let parcel = sequence.lanes.map { laneParcel(of: request, sequence, $0) }
    // The last token is computed by the receiver, unless a policy has been asked after it.
    let count = sequence.promptCount - (parcel == nil ? 1 : 0)
    guard count > 0, parcel != .some(nil), parcel != nil || table.filledSlots >= count else { return }
    // The fork keeps the blocks of the answer too.
    guard mayHold(slots: table.filledSlots, desk) else {
      handoffs.sendFailures["hold_budget", default: 0] += 1
      return
    }
    let held = pool.fork(table)
    let handoff = desk.node.hold(
      request.request.id, table: held, tokens: request.request.prompt, positions: 0..<count,
      lanes: parcel.map { _ in LaneOffer(slots: table.filledSlots, policyHash: policyHash(of: request.request)) },
      payload: (parcel ?? nil) ?? [], until: clock.now().advanced(bySeconds: desk.options.holdSeconds))
    request.handoff = ticket(
      handoff, for: request, tokens: count,
      blocks: held.blocks.prefix(pool.shape.blockCount(tokens: parcel == nil ? count : table.filledSlots)), desk)
  }

  private func mayHold(slots: Int, _ desk: HandoffDesk) -> Bool {
    let budget = Int(Double(pool.totalBlocks) * desk.options.holdShareLimit)
    return desk.node.heldBlocks + pool.shape.blockCount(tokens: slots) <= budget
  }

  private func ticket(
    _ handoff: HandoffID, for request: LiveRequest, tokens: Int, blocks: ArraySlice<BlockID>, _ desk: HandoffDesk
  ) -> HandoffTicket {
    var ticket = HandoffTicket(
      id: handoff, request: request.request.id, address: desk.node.address, tokens: tokens
    ).sealed(by: desk.options.authenticator)
    ticket.blocks = Array(blocks)
    return ticket
  }

  // MARK: sending while computing

  /// Whether this request's KV goes to its receiver while the prompt is computed.
  func streams(_ request: GenerationRequest) -> Bool {
    desk != nil && request.handsOver && request.onHandoff != nil && request.prompt.count > 1
  }

  /// Lets a prompt's KV be fetched from its first chunk on. Beyond the budget it is kept at the end, if then there is
  /// room.
  func startStream(_ id: SequenceID) {
    guard let desk, let request = owners[id]?.request, streams(request.request), request.handoff == nil,
      let sequence = scheduler.sequence(id), sequence.lanes == nil, let table = sequence.table
    else { return }
    let count = sequence.promptCount - 1
    guard mayHold(slots: count, desk) else { return }
    let handoff = desk.node.holdOpen(
      request.request.id, table: table, tokens: request.request.prompt, positions: 0..<count)
    openStreams[id] = handoff
    let ticket = ticket(
      handoff, for: request, tokens: count, blocks: table.blocks.prefix(pool.shape.blockCount(tokens: count)), desk)
    request.handoff = ticket
    request.request.onHandoff?(ticket)
  }

  /// Sends what the step has filled.
  func advanceStreams(_ plan: StepPlan) {
    guard let desk, !openStreams.isEmpty else { return }
    for entry in plan.entries {
      guard let handoff = openStreams[entry.sequence], let sequence = scheduler.sequence(entry.sequence),
        let table = sequence.table
      else { continue }
      if sequence.computed >= sequence.promptCount {
        openStreams[entry.sequence] = nil
        desk.node.complete(
          handoff, from: table, until: clock.now().advanced(bySeconds: desk.options.holdSeconds))
      } else {
        desk.node.extend(handoff, from: table, slots: sequence.computed)
      }
    }
  }

  /// A sequence ends or gives its blocks back; if its prompt was not computed to its end, nobody gets it.
  func endStream(_ id: SequenceID) {
    guard let handoff = openStreams.removeValue(forKey: id) else { return }
    desk?.node.abandon(handoff)
    // That ticket leads nowhere now; the answer's end may give another.
    owners[id]?.request.handoff = nil
  }
}
