// The one thread that owns scheduler, block tables, prefix tree and samplers of a node.

import WeirBasics
import WeirKVCache
import WeirKVTransfer
import WeirKernels
import WeirModels
import WeirSampling
import WeirScheduling
import WeirText

/// Plan, compute, sample, deliver, again. Nothing in here is shared with another thread except the inbox and the
/// published status, so there are no locks.
final class StepLoop {
  let model: DecoderModel
  let tokenizer: Tokenizer
  let configuration: EngineConfiguration
  let clock: any WeirClock
  let inbox: Inbox
  let board: StatusBoard
  let pool: BlockPool
  var scheduler: Scheduler
  let workspace: ForwardWorkspace
  var meters = EngineMeters()
  /// Handoffs with other nodes; nil: this engine has none.
  let desk: HandoffDesk?
  var handoffs = HandoffReport()
  /// Prompts that are fetched while they are computed.
  var openStreams: [SequenceID: HandoffID] = [:]
  var arrivalSeconds = Histogram(bounds: Histogram.tokenSeconds)
  var live: [Ticket: LiveRequest] = [:]
  /// Which answer a sequence belongs to.
  var owners: [SequenceID: (request: LiveRequest, choice: Choice)] = [:]
  var seeds: SeededGenerator
  /// Built when the first constrained request comes: most servers never need it.
  private(set) lazy var vocabulary = ConstraintVocabulary(
    tokenBytes: (0..<tokenizer.vocabularySize).map { tokenizer.tokenBytes(TokenID($0)) },
    endTokens: tokenizer.endTokens)
  private var isPaused = false
  var recent = RecentWork()
  private var isStopping = false
  private var idleChecked = false

  init(
    model: DecoderModel, tokenizer: Tokenizer, configuration: EngineConfiguration, scheduler: Scheduler,
    pool: BlockPool, inbox: Inbox, board: StatusBoard, clock: any WeirClock, desk: HandoffDesk? = nil
  ) {
    self.desk = desk
    self.model = model
    self.tokenizer = tokenizer
    self.configuration = configuration
    self.scheduler = scheduler
    self.pool = pool
    self.inbox = inbox
    self.board = board
    self.clock = clock
    seeds = SeededGenerator(seed: configuration.seed)
    workspace = ForwardWorkspace(model: model, maxRows: scheduler.configuration.stepTokens)
  }

  /// Runs until `.shutDown` is taken from the inbox; then every open request ends with an error.
  func run() {
    while turn() {}
    let farewell = EngineError(.draining, message: "the engine is shutting down", retryAfterSeconds: 5)
    for request in live.values { request.fail(farewell) }
    live = [:]
    for command in inbox.takeAll() { dismiss(command, farewell) }
    desk?.close()
  }

  /// One turn: commands, transfers, a step. False when it was told to stop.
  ///
  /// - Parameter restSeconds: how long it may sleep if there is nothing to do.
  func turn(restSeconds: Double = 1) -> Bool {
    for command in inbox.takeAll() { handle(command) }
    if isStopping { return false }
    tendHandoffs(admits: !isPaused)
    if isPaused || scheduler.isIdle {
      rest(seconds: restSeconds)
      return true
    }
    idleChecked = false
    if !step() { inbox.wait(seconds: min(restSeconds, 0.001)) }
    return true
  }

  /// Answers a command that came too late, so that nobody waits for ever.
  private func dismiss(_ command: Command, _ farewell: EngineError) {
    switch command {
    case .submit(_, _, let stream): stream.finish(throwing: farewell)
    case .embed(_, _, _, let continuation): continuation.resume(throwing: farewell)
    case .cancel(_, let continuation): continuation.resume(returning: false)
    case .clearPrefixCache(let continuation), .setPaused(_, let continuation): continuation.resume()
    case .abandon, .shutDown: break
    }
  }

  /// Computes one step; false if nothing could run.
  private func step() -> Bool {
    settlePolicies()
    let plan = scheduler.nextStep(pool: pool)
    notePreemptions(plan.preempted)
    let now = clock.now()
    for id in plan.admitted {
      noteAdmission(id, at: now)
      startStream(id)
    }
    guard !plan.isEmpty else {
      publish()
      return false
    }
    var work = makeWork(plan)
    observeAttention(&work)
    letRowsChoose(&work)
    let logits = model.forward(work.batch, shape: pool.shape, workspace: workspace)
    let decodeRows = plan.entries.reduce(0) { $0 + ($1.tokens.count == 1 && $1.completesTokens ? 1 : 0) }
    let computed = clock.now()
    meters.countStep(
      rows: plan.rowCount, decodeRows: decodeRows, seconds: computed.seconds(since: now), now: computed)
    collectPromptSignals(work, logits: logits)
    for entry in plan.entries { scheduler.advance(entry.sequence, rows: entry.tokens.count, pool: pool) }
    advanceStreams(plan)
    askPolicies()
    sample(work, logits: logits)
    deliver(work)
    publish()
    return true
  }

  /// Nothing to do: check the house once, then sleep until somebody knocks.
  private func rest(seconds: Double) {
    if !idleChecked && live.isEmpty {
      let broken = pool.checkInvariants()
      precondition(broken.isEmpty, "block pool invariants broken while idle: \(broken.joined(separator: "; "))")
      idleChecked = true
    }
    publish()
    // Leases and deadlines of transfers end without anybody knocking.
    inbox.wait(seconds: desk?.isBusy == true ? min(seconds, 0.05) : seconds)
  }

  private func handle(_ command: Command) {
    switch command {
    case .submit(let ticket, let request, let stream): submit(ticket, request, .generation(stream))
    case .embed(let ticket, let id, let tokens, let continuation):
      submit(ticket, embeddingRequest(id: id, tokens: tokens), .embedding(continuation))
    case .abandon(let ticket):
      if let request = live[ticket] { cancel(request, notify: false) }
    case .cancel(let id, let continuation):
      let matching = live.values.filter { $0.request.id == id }
      for request in matching { cancel(request, notify: true) }
      continuation.resume(returning: !matching.isEmpty)
    case .clearPrefixCache(let continuation):
      pool.clearCache()
      // Who waited for this must see it in the next status.
      publish()
      continuation.resume()
    case .setPaused(let paused, let continuation):
      isPaused = paused
      publish()
      continuation.resume()
    case .shutDown: isStopping = true
    }
  }

  private func cancel(_ request: LiveRequest, notify: Bool) {
    forgetArrival(of: request)
    for choice in request.choices where !choice.hasEnded {
      end(choice, of: request, reason: .cancelled, notify: notify)
    }
    if request.isEmbedding {
      live[request.ticket] = nil
      request.fail(EngineError(.cancelled, message: "the request was cancelled"))
    } else {
      close(request)
    }
  }

  /// Frees what one answer holds and tells its client.
  func end(
    _ choice: Choice, of request: LiveRequest, reason: FinishReason, stopToken: TokenID? = nil, tail: String = "",
    notify: Bool = true
  ) {
    choice.hasEnded = true
    meters.countFinish(reason)
    if let id = choice.sequence {
      choice.kv = scheduler.sequence(id).map { kvUsage(of: $0) }
      choice.kv?.policy = (request.request.kvPolicy ?? configuration.kvPolicy)?.name
      if reason != .cancelled { holdForFetch(request, id) }
      endStream(id)
      owners[id] = nil
      scheduler.end(id, pool: pool)
      choice.sequence = nil
    }
    guard notify else { return }
    request.yield(
      .finished(
        ChoiceEnd(
          choice: choice.index, reason: reason, text: tail, stopString: choice.stops.matched, stopToken: stopToken)))
  }

  /// The last word of a request: usage, then the end of its stream.
  func close(_ request: LiveRequest) {
    live[request.ticket] = nil
    guard case .generation(let stream) = request.outlet else { return }
    let usage = self.usage(of: request)
    recent.note(
      RequestRecord(
        request: request.request.id, submitted: request.submitted, usage: usage, arrival: request.arrival))
    stream.yield(.done(usage))
    stream.finish()
  }

  private func usage(of request: LiveRequest) -> UsageReport {
    let now = clock.now()
    let admitted = request.admitted ?? now
    let promptDone = request.promptDone ?? now
    var usage = UsageReport(
      promptTokens: request.request.prompt.count, cachedTokens: request.cachedTokens,
      completionTokens: request.completionTokens)
    usage.queueSeconds = admitted.seconds(since: request.submitted)
    usage.prefillSeconds = promptDone.seconds(since: admitted)
    usage.decodeSeconds = now.seconds(since: promptDone)
    usage.timeToFirstTokenSeconds = (request.firstToken ?? now).seconds(since: request.submitted)
    usage.totalSeconds = now.seconds(since: request.submitted)
    usage.preemptions = request.preemptions
    usage.kv = request.choices.compactMap(\.kv)
    usage.handoff = request.handoff
    return usage
  }

  func publish() {
    var status = meters.status
    status.load.runningSequences = scheduler.runningCount
    status.load.waitingRequests = scheduler.waitingCount
    status.load.totalBlocks = pool.totalBlocks
    status.load.freeBlocks = pool.freeBlocks
    status.load.cachedBlocks = pool.cachedBlocks
    status.pool = PoolReport(pool.statistics, shape: pool.shape)
    status.handoffs = handoffStatus
    status.recent = recent
    status.isPaused = isPaused
    status.now = clock.now()
    status.speeds = meters.speeds(now: status.now, links: desk?.links ?? [])
    (status.prefillShare, status.decodeShare) = meters.shares(now: status.now)
    let waiting = scheduler.waitingNeeds
    status.load.waitingPromptTokens = waiting.tokens
    status.preemptedSequences = waiting.preempted
    status.promisedBlocks =
      waiting.tokens / pool.shape.blockSlots + scheduler.waitingCount + (desk?.promisedBlocks ?? 0)
    board.publish(status, openRequests: live.count)
    if let tell = configuration.onKVEvents {
      let events = pool.drainEvents()
      if !events.isEmpty { tell(events) }
    }
  }
}
