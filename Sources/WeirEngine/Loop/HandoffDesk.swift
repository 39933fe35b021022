// The engine's side of handoffs: which requests wait for KV of other nodes, and how far each of them is.

import WeirBasics
import WeirCluster
import WeirKVCache
import WeirKVTransfer
import WeirScheduling

/// A request that came with a ticket and does not run yet.
final class Arrival {
  enum State: Equatable {
    /// Until there is a place among the running sequences.
    case waiting
    case connecting(PeerID)
    case fetching(PeerID)
  }

  let live: LiveRequest
  let submission: Submission
  let ticket: HandoffTicket
  /// Moved on by every word of progress.
  var deadline: Instant
  /// What the request's KV policy is called between nodes; nil: all of the prompt's KV is wanted.
  let policyHash: UInt64?
  var state = State.waiting
  /// Tokens of the prompt that this node's prefix tree had when the fetch began, whole blocks.
  var cachedTokens = 0
  var explanation: CacheExplanation?

  init(
    live: LiveRequest, submission: Submission, ticket: HandoffTicket, deadline: Instant, policyHash: UInt64? = nil
  ) {
    self.policyHash = policyHash
    self.live = live
    self.submission = submission
    self.ticket = ticket
    self.deadline = deadline
  }

  /// What may come: the last token of the prompt is computed here, unless a policy has been asked after it.
  var usableTokens: [TokenID] { policyHash == nil ? Array(submission.tokens.dropLast()) : submission.tokens }
  /// Whether the prefix tree may hold a part of it.
  var readsCache: Bool { submission.readsCache && policyHash == nil }

  var peer: PeerID? {
    switch state {
    case .waiting: nil
    case .connecting(let peer), .fetching(let peer): peer
    }
  }
}

/// Lives on the step-loop thread; the loop performs what it finds here.
final class HandoffDesk {
  let node: HandoffNode
  let options: HandoffOptions
  /// By the sender's name of the handoff.
  private(set) var arrivals: [HandoffID: Arrival] = [:]
  /// Those without a place, first come first.
  private(set) var queue: [HandoffID] = []
  private var connected: [String: PeerID] = [:]
  private var names: [PeerID: NodeID] = [:]
  private var connecting: [String: PeerID] = [:]
  private var unreachable: [String: Instant] = [:]
  private let pool: BlockPool
  private let clock: any WeirClock

  /// - Throws: `TransportError` if the transport cannot be had.
  convenience init(
    options: HandoffOptions, pool: BlockPool, clock: any WeirClock, onNews: @escaping @Sendable () -> Void
  ) throws(TransportError) {
    try self.init(options: options, pool: pool, clock: clock) { memory throws(TransportError) in
      try options.makeTransport(memory, onNews)
    }
  }

  /// - Parameter makeTransport: as for `HandoffNode`.
  /// - Throws: what `makeTransport` throws.
  init(
    options: HandoffOptions, pool: BlockPool, clock: any WeirClock,
    makeTransport: ([TransferMemory]) throws(TransportError) -> any Transport
  ) throws(TransportError) {
    self.options = options
    self.pool = pool
    self.clock = clock
    var configuration = HandoffConfiguration(
      shape: KVWireShape(shape: pool.shape, modelFingerprint: options.modelFingerprint),
      incarnation: options.incarnation)
    configuration.leaseSeconds = options.holdSeconds
    configuration.stagingBytes = options.stagingBytes ?? min(pool.totalBlocks * pool.shape.blockBytes, 256 << 20)
    configuration.quarantineSeconds = options.quarantineSeconds
    configuration.takesOnlyFetched = true
    configuration.style = options.style
    configuration.costPriors = options.costPriors
    configuration.spanBlocks = options.streamBytes.map { max(1, $0 / pool.shape.blockBytes) }
    node = try HandoffNode(
      pool: pool, configuration: configuration, clock: clock, makeTransport: makeTransport)
    node.checkOffer = { [unowned self] id, offer in self.check(offer, for: id) }
    node.openTable = { [unowned self] id, offer, _ in self.openTable(for: offer, id) }
  }

  /// Whether something is open whose time can run out.
  var isBusy: Bool { !arrivals.isEmpty || node.openHandoffs > 0 || node.heldHandoffs > 0 }

  /// Blocks that requests whose KV has not come yet will take.
  var promisedBlocks: Int {
    arrivals.values.reduce(0) { $0 + pool.shape.blockCount(tokens: $1.submission.tokens.count + 1) }
  }

  // MARK: arrivals

  /// False if this ticket is being used already.
  func add(_ arrival: Arrival) -> Bool {
    guard arrivals[arrival.ticket.id] == nil else { return false }
    arrivals[arrival.ticket.id] = arrival
    queue.append(arrival.ticket.id)
    return true
  }

  /// Takes an arrival out; nil if it is over. The caller gives its place back if it had one.
  func take(_ id: HandoffID) -> Arrival? {
    queue.removeAll { $0 == id }
    return arrivals.removeValue(forKey: id)
  }

  /// The first one without a place.
  var next: Arrival? { queue.first.flatMap { arrivals[$0] } }

  func leaveQueue(_ arrival: Arrival) { queue.removeAll { $0 == arrival.ticket.id } }

  func arrival(of live: LiveRequest) -> Arrival? { arrivals.values.first { $0.live === live } }

  func noteProgress(_ id: HandoffID) {
    arrivals[id]?.deadline = clock.now().advanced(bySeconds: options.arrivalSeconds)
  }

  func late(_ now: Instant) -> [Arrival] { inOrder(arrivals.values.filter { $0.deadline <= now }) }

  func arrivals(with peer: PeerID) -> [Arrival] { inOrder(arrivals.values.filter { $0.peer == peer }) }

  private func inOrder(_ some: [Arrival]) -> [Arrival] {
    some.sorted { ($0.ticket.id.incarnation, $0.ticket.id.number) < ($1.ticket.id.incarnation, $1.ticket.id.number) }
  }

  // MARK: peers

  /// Takes note of who a peer says it is; one that says nothing has no link that anybody hears of.
  func noteName(_ introduction: [UInt8], of peer: PeerID) {
    guard let text = String(validating: introduction, as: UTF8.self) else { return }
    let node = NodeID(text)
    if NodeDescription.isValid(node) { names[peer] = node }
  }

  /// What transfers to each connected peer cost, as learnt; empty before the first one. The costs are this node's over
  /// all its peers: peers of one network.
  var links: [LinkSpeed] {
    guard node.cost.observations > 0, node.cost.byteSeconds > 0 else { return [] }
    return Set(names.values).map { peer in
      LinkSpeed(peer: peer, bytesPerSecond: 1 / node.cost.byteSeconds, operationSeconds: node.cost.operationSeconds)
    }
  }

  /// Fetches, or connects first; the word for why it cannot be done.
  func start(_ arrival: Arrival) -> String? {
    let address = arrival.ticket.address
    if let peer = connected[address] {
      fetch(arrival, from: peer)
      return nil
    }
    if let peer = connecting[address] {
      arrival.state = .connecting(peer)
      return nil
    }
    if let end = unreachable[address], clock.now() < end { return TransportError.Kind.unreachable.rawValue }
    do {
      let peer = try node.connect(to: address, deadline: arrival.deadline)
      connecting[address] = peer
      arrival.state = .connecting(peer)
      return nil
    } catch {
      noteUnreachable(address)
      return error.kind.rawValue
    }
  }

  /// Tells the sender that its KV is not needed, if there is a connection to say it over; its lease ends anyway.
  func decline(_ ticket: HandoffTicket) {
    if let peer = connected[ticket.address] { node.decline(ticket.id, at: peer) }
  }

  func noteConnected(_ peer: PeerID) {
    guard let address = connecting.first(where: { $0.value == peer })?.key else { return }
    connecting[address] = nil
    connected[address] = peer
    unreachable[address] = nil
    for arrival in arrivals(with: peer) { fetch(arrival, from: peer) }
  }

  func noteLost(_ peer: PeerID) {
    names[peer] = nil
    if let address = connecting.first(where: { $0.value == peer })?.key {
      connecting[address] = nil
      noteUnreachable(address)
    }
    if let address = connected.first(where: { $0.value == peer })?.key { connected[address] = nil }
  }

  private func noteUnreachable(_ address: String) {
    let now = clock.now()
    // Addresses come from tickets: the list must not grow for ever.
    unreachable = unreachable.filter { $0.value > now }
    unreachable[address] = now.advanced(bySeconds: options.retrySeconds)
  }

  private func fetch(_ arrival: Arrival, from peer: PeerID) {
    arrival.state = .fetching(peer)
    node.fetch(
      arrival.ticket.id, request: arrival.ticket.request, firstPosition: arrival.cachedTokens, from: peer,
      deadline: arrival.deadline)
  }

  // MARK: for the node

  private func check(_ offer: HandoffOffer, for id: HandoffID) -> HandoffRefusal? {
    guard let arrival = arrivals[id] else { return .cancelled }
    if offer.lanes?.policyHash != arrival.policyHash { return .policy }
    return offer.firstDifference(
      request: arrival.ticket.request, tokens: arrival.usableTokens, salt: arrival.submission.salt
    ).map { .tag($0) }
  }

  /// The table that what comes is received into: it begins with what the prefix tree has.
  private func openTable(for offer: HandoffOffer, _ id: HandoffID) -> BlockTable? {
    guard let arrival = arrivals[id] else { return nil }
    let submission = arrival.submission
    let match =
      arrival.readsCache
      ? pool.match(submission.tokens, salt: submission.salt, limit: offer.positions.lowerBound)
      : PrefixMatch.unread(promptTokens: submission.tokens.count, salt: submission.salt)
    return pool.open(
      match, stores: submission.storesCache && arrival.policyHash == nil, priority: submission.priority)
  }

  /// Ends everything. The pool must still be there.
  func close() { node.close() }
}
