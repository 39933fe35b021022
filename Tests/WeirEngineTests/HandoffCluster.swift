// Step loops of several nodes on one thread, over a network that misbehaves on request, in virtual time.

import Foundation
import Synchronization
import Testing
import Weir
import WeirKVCache
import WeirKVTransfer
import WeirModelFiles
import WeirModels
import WeirScheduling
import WeirText

@testable import WeirEngine

/// A keyed checksum in the place of HMAC: good enough to meet, not to keep anybody out.
let testAuthenticator = PeerAuthenticator { bytes in
  (0..<4).flatMap { lane in
    withUnsafeBytes(of: KVChecksum.value(of: bytes, seed: 99 + UInt64(lane)).littleEndian, Array.init)
  }
}

/// What a node of the cluster differs in.
struct HandoffNodeSetup {
  var blockSlots = 16
  var type = KVElementType.f16
  var blocks = 300
  var prefixCache = true
  var runningLimit = 64
  var fingerprint: UInt64 = 7
  var policies: (any KVPolicyResolver)?
  /// Rows of a step, at least the running limit; half as many where others decode.
  var stepTokens = 128
  /// See `HandoffOptions.streamBytes`.
  var streamBytes: Int?
}

/// Nodes 0, 1, ... of one model. `drive` turns all their loops; nothing happens otherwise.
final class HandoffCluster {
  let clock = ManualClock(startNanoseconds: 1_000_000_000)
  let network: LoopbackNetwork
  private(set) var loops: [StepLoop] = []
  private var inboxes: [Inbox] = []
  private var dead: Set<Int> = []
  private var nextTicket: UInt64 = 1

  private struct Parts {
    let model: DecoderModel
    let tokenizer: Tokenizer
  }

  /// Loaded once: models are immutable.
  private static let parts: Parts? = {
    do {
      let source = try ModelSource.open(path: EngineFixture.modelPath)
      let context = KernelContext(instructionSet: .best, pool: WorkerPool(threads: 1))
      return Parts(
        model: try DecoderModel(source: source, context: context, contextLength: 512),
        tokenizer: try Tokenizer(source: source))
    } catch {
      Issue.record("the tiny model could not be loaded: \(error)")
      return nil
    }
  }()

  /// What the nodes' model is like.
  static func description() throws -> DecoderDescription { try #require(parts).model.description }

  init(_ setups: [HandoffNodeSetup], seed: UInt64 = 1, faults: LoopbackFaults = LoopbackFaults()) throws {
    network = LoopbackNetwork(clock: clock, seed: seed, faults: faults)
    let parts = try #require(Self.parts)
    for (index, setup) in setups.enumerated() {
      let shape = parts.model.kvShape(
        blockSlots: setup.blockSlots, keyType: setup.type, valueType: setup.type)
      var pooling = KVPoolConfiguration(shape: shape, blockLimit: setup.blocks)
      pooling.prefixCache = setup.prefixCache
      let pool = try BlockPool(configuration: pooling, clock: clock)
      let transport = network.transport(named: "node\(index)")
      var options = HandoffOptions(incarnation: UInt64(index + 1), authenticator: testAuthenticator) {
        _, _ throws(TransportError) in
        throw TransportError(.unavailable, "the cluster makes it itself: its transports stay on one thread")
      }
      options.modelFingerprint = setup.fingerprint
      options.quarantineSeconds = 0.5
      options.streamBytes = setup.streamBytes
      let desk = try HandoffDesk(options: options, pool: pool, clock: clock) { memory throws(TransportError) in
        for region in memory { _ = try transport.register(region) }
        return transport
      }
      var configuration = EngineConfiguration(modelName: "tiny", blockSlots: setup.blockSlots)
      configuration.prefixCache = setup.prefixCache
      configuration.policies = setup.policies
      let limits = try SchedulerConfiguration(
        runningLimit: setup.runningLimit, stepTokens: setup.stepTokens, mixedPrefillTokens: setup.stepTokens / 2,
        contextLength: 512)
      let inbox = Inbox()
      inboxes.append(inbox)
      loops.append(
        StepLoop(
          model: parts.model, tokenizer: parts.tokenizer, configuration: configuration,
          scheduler: Scheduler(configuration: limits), pool: pool, inbox: inbox, board: StatusBoard(), clock: clock,
          desk: desk))
    }
  }

  /// An answer that is being made.
  final class Running: Sendable {
    let ticket: Ticket
    fileprivate let events: AsyncThrowingStream<GenerationEvent, any Error>
    fileprivate let isOver = Atomic<Bool>(false)

    fileprivate init(ticket: Ticket, events: AsyncThrowingStream<GenerationEvent, any Error>) {
      self.ticket = ticket
      self.events = events
    }

    /// Everything it told; call it when it is over.
    func answer() async throws -> Answer { try await Answer.reading(events) }
  }

  func submit(_ request: GenerationRequest, to node: Int) -> Running {
    let (events, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
    let running = Running(ticket: Ticket(rawValue: nextTicket), events: events)
    nextTicket += 1
    continuation.onTermination = { [running] _ in running.isOver.store(true, ordering: .relaxed) }
    inboxes[node].post(.submit(running.ticket, request, continuation))
    return running
  }

  func abandon(_ running: Running, at node: Int) { inboxes[node].post(.abandon(running.ticket)) }

  /// Ends a node as `kill -9` does.
  func kill(_ node: Int) {
    network.kill("node\(node)")
    dead.insert(node)
  }

  /// Turns all loops, a millisecond of virtual time a turn; more while they only wait for leases.
  func drive(until isDone: () -> Bool, seconds: Double = 120) {
    let end = clock.now().advanced(bySeconds: seconds)
    while !isDone(), clock.now() < end {
      for (index, loop) in loops.enumerated() where !dead.contains(index) { _ = loop.turn(restSeconds: 0) }
      let computes = loops.enumerated().contains { !dead.contains($0) && !$1.scheduler.isIdle }
      clock.advance(bySeconds: computes || network.isBusy ? 0.001 : 0.02)
    }
  }

  /// Runs requests to their ends.
  func finish(_ running: [Running]) async throws -> [Answer] {
    drive(until: { running.allSatisfy { $0.isOver.load(ordering: .relaxed) } })
    var answers: [Answer] = []
    for one in running {
      let isOver = one.isOver.load(ordering: .relaxed)
      try #require(isOver, "a request did not end in two minutes")
      answers.append(try await one.answer())
    }
    return answers
  }

  /// Prefills at node 0 and continues at node 1, as a router does it; a dozen requests at a time, because what is
  /// prefilled keeps its blocks until it is fetched.
  func disaggregated(_ requests: [GenerationRequest]) async throws -> [Answer] {
    var answers: [Answer] = []
    for start in stride(from: 0, to: requests.count, by: 12) {
      let wave = requests[start..<min(start + 12, requests.count)]
      let tickets = try await prefilled(Array(wave))
      answers += try await finish(
        zip(wave, tickets).map { request, ticket in
          var continued = request
          continued.arrival = ticket
          return submit(continued, to: 1)
        })
    }
    return answers
  }

  /// The first half: where each prompt's KV is kept.
  func prefilled(_ requests: [GenerationRequest], at node: Int = 0) async throws -> [HandoffTicket?] {
    try await finish(
      requests.map { request in
        var first = request
        first.id = RequestID("prefill-\(request.id)")
        first.maxTokens = 1
        first.handsOver = true
        return submit(first, to: node)
      }
    ).map { $0.usage?.handoff }
  }

  /// The ticket of a prefill that is fetched while it runs.
  final class TicketBox: Sendable {
    private let box = Mutex<HandoffTicket?>(nil)
    var ticket: HandoffTicket? {
      get { box.withLock { $0 } }
      set { box.withLock { $0 = newValue } }
    }
  }

  /// Starts to prefill at node 0 and to fetch at node 1, as soon as there is a ticket.
  /// - Returns: both halves of each request; the ticket has been told when this returns.
  func stream(_ requests: [GenerationRequest]) throws -> [(prefill: Running, decode: Running)] {
    let begun = requests.map { request in
      let box = TicketBox()
      var first = request
      first.id = RequestID("prefill-\(request.id)")
      first.maxTokens = 1
      first.handsOver = true
      first.onHandoff = { box.ticket = $0 }
      return (running: submit(first, to: 0), box: box)
    }
    var halves: [(prefill: Running, decode: Running)] = []
    for (request, one) in zip(requests, begun) {
      drive(until: { one.box.ticket != nil || one.running.isOver.load(ordering: .relaxed) })
      var continued = request
      continued.arrival = one.box.ticket
      halves.append((one.running, submit(continued, to: 1)))
    }
    return halves
  }

  func isOver(_ running: Running) -> Bool { running.isOver.load(ordering: .relaxed) }

  func report(_ node: Int) -> HandoffReport { loops[node].handoffStatus }

  /// Lets everything end, and says which nodes have not all their blocks back.
  func leaks() -> [String] {
    drive(
      until: { loops.indices.allSatisfy { dead.contains($0) || loops[$0].desk?.isBusy == false } }, seconds: 200)
    var findings: [String] = []
    for (index, loop) in loops.enumerated() where !dead.contains(index) {
      if loop.desk?.isBusy == true { findings.append("node \(index) still has open handoffs") }
      if loop.scheduler.expectedArrivals != 0 { findings.append("node \(index) expects arrivals for ever") }
      if !loop.live.isEmpty || !loop.scheduler.isIdle { findings.append("node \(index) still has requests") }
      findings += loop.pool.checkInvariants().map { "node \(index): \($0)" }
      loop.pool.clearCache()
      if loop.pool.freeBlocks != loop.pool.totalBlocks {
        findings.append("node \(index) has \(loop.pool.freeBlocks) of \(loop.pool.totalBlocks) blocks free")
      }
    }
    return findings
  }
}
