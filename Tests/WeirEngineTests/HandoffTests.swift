// Prefill on one node, decode on another: the same tokens as one engine alone, whatever the network does.

import Testing
import Weir
import WeirKVCache
import WeirKVTransfer

@testable import WeirEngine

@Suite struct HandoffTests {
  /// Prompts of 1 to 300 tokens; some share a beginning, so that the receiver has a part of them already.
  private func requests(_ count: Int, seed: UInt64 = 3) -> [GenerationRequest] {
    var generator = SeededGenerator(seed: seed)
    let shared = EngineFixture.prompt(70, seed: 999)
    return (0..<count).map { index in
      let length = [1, 2, 15, 16, 17, 31, 33][safe: index] ?? 2 + Int(generator.next() % 200)
      var prompt = EngineFixture.prompt(length, seed: UInt64(index + 1))
      if index % 5 == 4 { prompt = shared + prompt }
      var request = EngineFixture.request(prompt, maxTokens: 6 + index % 7, name: "r\(index)")
      if index % 2 == 1 {
        request.sampling.temperature = 1
        request.sampling.topP = 0.95
        request.seed = UInt64(index)
      }
      request.topLogprobs = 0
      return request
    }
  }

  private func alone(_ requests: [GenerationRequest], _ setup: HandoffNodeSetup) async throws -> [Answer] {
    let single = try HandoffCluster([setup])
    return try await single.finish(requests.map { single.submit($0, to: 0) })
  }

  static let pairs: [(HandoffNodeSetup, HandoffNodeSetup)] = [
    (HandoffNodeSetup(), HandoffNodeSetup()),
    (HandoffNodeSetup(blockSlots: 8, blocks: 600), HandoffNodeSetup(blockSlots: 32, blocks: 160)),
    (HandoffNodeSetup(blockSlots: 32, blocks: 160), HandoffNodeSetup(blockSlots: 8, blocks: 600)),
    (HandoffNodeSetup(type: .f32), HandoffNodeSetup(type: .f32, prefixCache: false)),
    (HandoffNodeSetup(prefixCache: false), HandoffNodeSetup(runningLimit: 4)),
  ]

  @Test(arguments: pairs.indices) func sixtyPromptsEqualOneEngine(pair: Int) async throws {
    let (sender, receiver) = Self.pairs[pair]
    let requests = requests(60)
    let expected = try await alone(requests, receiver)
    let cluster = try HandoffCluster([sender, receiver])
    let answers = try await cluster.disaggregated(requests)
    for (index, answer) in answers.enumerated() {
      #expect(answer.tokens[0] == expected[index].tokens[0], "prompt \(index)")
      // Where blocks are as long as the receiver's every bit is equal; attention sums blocks of another length in
      // another order.
      let isSame = sender.blockSlots == receiver.blockSlots
      let far = zip(answer.logprobs, expected[index].logprobs).filter {
        isSame ? $0 != $1 : abs($0.logprob - $1.logprob) > 1e-4
      }
      #expect(far.isEmpty && answer.logprobs.count == expected[index].logprobs.count, "prompt \(index)")
      #expect(answer.prompt?.arrival?.refusal == nil, "prompt \(index)")
    }
    let report = cluster.report(1)
    // A prompt of one token has nothing to hand over; prompts that share a beginning may be here already.
    #expect(report.received >= 50 && report.recomputed.isEmpty, "\(report)")
    #expect(cluster.report(0).sent == report.received && cluster.report(0).sendFailures.isEmpty)
    #expect(cluster.leaks() == [])
  }

  /// Different element types: the receiver's KV of the prompt is the sender's, rounded. The tolerance is on the
  /// log-probability of the first token against an engine that computed with the receiver's type all along.
  @Test(arguments: [(KVElementType.f32, KVElementType.f16, Float(0.02)), (.f16, .f32, 0.02), (.f32, .q8_0, 0.25)])
  func anotherElementTypeStaysWithinTolerance(from: KVElementType, to: KVElementType, tolerance: Float) async throws {
    var requests = requests(50)
    for index in requests.indices {
      requests[index].sampling.temperature = 0
      requests[index].maxTokens = 1
      requests[index].topLogprobs = 20
    }
    let receiver = HandoffNodeSetup(blockSlots: 32, type: to)
    let expected = try await alone(requests, receiver)
    let cluster = try HandoffCluster([HandoffNodeSetup(type: from), receiver])
    let answers = try await cluster.disaggregated(requests)
    var worst: Float = 0
    for (answer, wanted) in zip(answers, expected) {
      let known = Dictionary(
        (wanted.logprobs.first?.top ?? []).map { ($0.token, $0.logprob) }, uniquingKeysWith: { first, _ in first })
      for alternative in answer.logprobs.first?.top.prefix(5) ?? [] {
        if let value = known[alternative.token] { worst = max(worst, abs(value - alternative.logprob)) }
      }
    }
    #expect(worst <= tolerance, "\(from) to \(to): off by \(worst)")
    #expect(worst > 0, "nothing was converted, so this test shows nothing")
    #expect(cluster.report(1).received >= 45 && cluster.report(1).recomputed.isEmpty, "\(cluster.report(1))")
    #expect(cluster.leaks() == [])
  }

  /// Every fault ends in the right answer and a counted reason.
  @Test(arguments: ["corrupt", "drop", "messages", "cut", "fingerprint"]) func faultsAreRecomputed(
    kind: String
  ) async throws {
    var faults = LoopbackFaults()
    var receiver = HandoffNodeSetup()
    var reason = ""
    switch kind {
    case "corrupt": (faults.corruptPiece, reason) = (1, "checksum")
    case "drop": (faults.dropPiece, reason) = (1, "lease_ended")
    case "messages": (faults.dropMessage, reason) = (1, "lease_ended")
    case "cut": (faults.cutAfterBytes, reason) = (100, "peer_lost")
    default: (receiver.fingerprint, reason) = (8, "shape_model")
    }
    let requests = requests(8)
    let expected = try await alone(requests, receiver)
    let cluster = try HandoffCluster([HandoffNodeSetup(), receiver], faults: faults)
    let answers = try await cluster.disaggregated(requests)
    for (index, answer) in answers.enumerated() {
      #expect(answer.tokens[0] == expected[index].tokens[0], "prompt \(index)")
      if requests[index].prompt.count > 1 { #expect(answer.prompt?.arrival?.refusal != nil, "prompt \(index)") }
    }
    #expect(cluster.report(1).recomputed[reason, default: 0] > 0, "\(cluster.report(1).recomputed)")
    #expect(cluster.report(1).received == 0)
    #expect(cluster.leaks() == [])
  }

  /// Anything at once: repeated commits, old messages, lost ones, damaged pieces that overtake each other. (Messages
  /// arrive as they were sent: they travel over TCP.)
  @Test(arguments: 1...8) func anyMixOfFaultsKeepsTheAnswersRight(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed &* 77)
    func chance() -> Double { generator.unitDouble() * generator.unitDouble() * 0.3 }
    var faults = LoopbackFaults()
    faults.delaySeconds = 0...0.02
    faults.dropPiece = chance()
    faults.corruptPiece = chance()
    faults.dropMessage = chance()
    faults.duplicateMessage = chance()
    faults.reorderMessage = chance()
    faults.replayMessage = chance()
    let requests = requests(12, seed: seed)
    let expected = try await alone(requests, HandoffNodeSetup())
    let small = HandoffNodeSetup(blocks: 160)
    let cluster = try HandoffCluster([small, small], seed: seed, faults: faults)
    for start in stride(from: 0, to: requests.count, by: 3) {
      let answers = try await cluster.disaggregated(Array(requests[start..<(start + 3)]))
      for (index, answer) in answers.enumerated() {
        #expect(answer.tokens[0] == expected[start + index].tokens[0], "seed \(seed), prompt \(start + index)")
      }
    }
    let report = cluster.report(1)
    #expect(report.received > 0 || !report.recomputed.isEmpty, "seed \(seed): nothing was handed over")
    #expect(cluster.leaks() == [], "seed \(seed)")
  }

  @Test func aTicketThatIsNotThisRequestsIsRefused() async throws {
    let requests = requests(12)
    let cluster = try HandoffCluster([HandoffNodeSetup(), HandoffNodeSetup()])
    let expected = try await alone(requests, HandoffNodeSetup())
    let made = try await cluster.prefilled(requests)
    func run(
      _ index: Int, seals: Bool = true, _ change: (inout HandoffTicket, inout GenerationRequest) -> Void
    ) async throws -> String? {
      var request = requests[index]
      var ticket = try #require(made[index])
      change(&ticket, &request)
      request.arrival = seals ? ticket.sealed(by: testAuthenticator) : ticket
      // What an earlier try computed here would leave nothing to fetch.
      cluster.loops[1].pool.clearCache()
      let answer = try await cluster.finish([cluster.submit(request, to: 1)])[0]
      #expect(answer.tokens[0] == expected[index].tokens[0], "prompt \(index)")
      return answer.prompt?.arrival?.refusal
    }
    // Another prompt's KV, another tenant's, a name that never was, one used twice, another request's.
    let foreign = try #require(made[8])
    #expect(["tag_tokens", "tag_positions"].contains(try await run(9) { ticket, _ in ticket = foreign }))
    #expect(try await run(10) { _, request in request.cacheSalt = "other" } == "tag_salt")
    #expect(try await run(6) { ticket, _ in ticket.id.number = 9999 } == "unknown_handoff")
    #expect(try await run(6) { ticket, _ in ticket.id.incarnation = 9999 } == "unknown_handoff")
    #expect(try await run(6) { ticket, _ in ticket.request = RequestID("other") } == "unknown_handoff")
    #expect(try await run(6) { ticket, _ in ticket.address = "nowhere" } == "unreachable")
    #expect(try await run(6, seals: false) { ticket, _ in ticket.address = "node9" } == "unsealed_ticket")
    #expect(try await run(6, seals: false) { ticket, _ in ticket.seal = [] } == "unsealed_ticket")
    #expect(try await run(7) { _, _ in } == nil)
    #expect(try await run(7) { _, _ in } == "unknown_handoff")
    // One whose time is over.
    cluster.clock.advance(bySeconds: 31)
    #expect(try await run(11) { _, _ in } == "unknown_handoff")
    #expect(cluster.report(0).expired > 0)
    #expect(cluster.leaks() == [])
  }

  @Test func withoutATransportTheTicketIsOfNoUse() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(40))
    request.handsOver = true
    let plain = try await Answer.of(request, engine)
    #expect(plain.usage?.handoff == nil)
    request.arrival = HandoffTicket(
      id: HandoffID(incarnation: 1, number: 1), request: request.id, address: "127.0.0.1:1", tokens: 39)
    let answer = try await Answer.of(request, engine)
    #expect(answer.tokens == plain.tokens && answer.prompt?.arrival?.refusal == "no_transport")
    #expect(await engine.status().handoffs.recomputed == ["no_transport": 1])
  }

  @Test func aDeadPrefillNodeIsNoticedBeforeAndDuringTheTransfer() async throws {
    let requests = requests(14).filter { $0.prompt.count > 60 }
    let expected = try await alone(requests, HandoffNodeSetup())
    var faults = LoopbackFaults()
    faults.delaySeconds = 0.004...0.005
    let cluster = try HandoffCluster([HandoffNodeSetup(), HandoffNodeSetup(blocks: 400)], faults: faults)
    var running: [HandoffCluster.Running] = []
    for (request, ticket) in zip(requests, try await cluster.prefilled(requests)) {
      var continued = request
      let kept: HandoffTicket = try #require(ticket)
      continued.arrival = kept
      running.append(cluster.submit(continued, to: 1))
    }
    // Some are granted, none is committed.
    cluster.drive(until: { cluster.loops[1].desk?.node.openHandoffs ?? 0 > 0 })
    cluster.kill(0)
    let during = try await cluster.finish(running)
    for (index, answer) in during.enumerated() {
      #expect(answer.tokens[0] == expected[index].tokens[0])
      #expect(answer.prompt?.arrival?.refusal == "peer_lost")
    }
    var late = requests[0]
    late.arrival = HandoffTicket(
      id: HandoffID(incarnation: 1, number: 1), request: late.id, address: "node0", tokens: late.prompt.count - 1
    ).sealed(by: testAuthenticator)
    late.readsCache = false
    let after = try await cluster.finish([cluster.submit(late, to: 1)])
    #expect(after[0].tokens[0] == expected[0].tokens[0])
    #expect(after[0].prompt?.arrival?.refusal == "unreachable")
    #expect(cluster.leaks() == [])
  }

  /// The client goes away at every stage of a transfer; both nodes get their blocks back.
  @Test(arguments: 1...12) func aRequestGivenUpLeavesNothingBehind(turns: Int) async throws {
    var faults = LoopbackFaults()
    faults.delaySeconds = 0.0005...0.0015
    let cluster = try HandoffCluster([HandoffNodeSetup(), HandoffNodeSetup()], faults: faults)
    var request = EngineFixture.request(EngineFixture.prompt(200), maxTokens: 50)
    request.arrival = try await cluster.prefilled([request])[0]
    let running = cluster.submit(request, to: 1)
    var left = turns
    cluster.drive(until: {
      left -= 1
      return left < 0
    })
    cluster.abandon(running, at: 1)
    cluster.drive(until: { cluster.loops[1].live.isEmpty })
    #expect(cluster.leaks() == [])
  }

  @Test func aReceiverWithoutRoomComputesLaterAndStaysRight() async throws {
    // 12 blocks of 16 slots: one long prompt at a time.
    let requests = requests(30).filter { (60...150).contains($0.prompt.count) }
    let expected = try await alone(requests, HandoffNodeSetup())
    let cluster = try HandoffCluster([HandoffNodeSetup(blocks: 400), HandoffNodeSetup(blocks: 12)])
    let answers = try await cluster.disaggregated(requests)
    for (index, answer) in answers.enumerated() { #expect(answer.tokens[0] == expected[index].tokens[0]) }
    let waited = answers.filter { ($0.usage?.queueSeconds ?? 0) > 0 }.count
    #expect(cluster.report(1).received > 0 && waited > 0, "\(cluster.report(1)), \(waited) waited")
    #expect(cluster.leaks() == [])
  }

  @Test func whatIsKeptForNobodyHasABudget() async throws {
    // 24 blocks of 16 slots: 18 may be kept, which is three prompts of 80 tokens.
    let small = HandoffNodeSetup(blocks: 24)
    let cluster = try HandoffCluster([small, HandoffNodeSetup()])
    var tickets: [HandoffTicket?] = []
    for index in 0..<6 {
      let request = EngineFixture.request(EngineFixture.prompt(80, seed: UInt64(index + 1)), name: "k\(index)")
      tickets += try await cluster.prefilled([request])
    }
    #expect(tickets.map { $0 != nil } == [true, true, true, false, false, false])
    #expect(cluster.report(0).sendFailures == ["hold_budget": 3])
    // What does not fit beside it waits for the lease's end instead of starting and giving up again and again.
    let long = EngineFixture.request(EngineFixture.prompt(150), maxTokens: 2, name: "long")
    let answer = try await cluster.finish([cluster.submit(long, to: 0)])[0]
    #expect(answer.tokens[0]?.count == 2 && answer.usage?.preemptions == 0, "\(String(describing: answer.usage))")
    #expect(cluster.leaks() == [] && cluster.report(0).expired == 3)
  }

  @Test func severalAnswersShareWhatArrived() async throws {
    var request = EngineFixture.request(EngineFixture.prompt(90), maxTokens: 12)
    request.choices = 3
    request.sampling.temperature = 1
    request.seed = 5
    for stores in [true, false] {
      request.storesCache = stores
      let expected = try await alone([request], HandoffNodeSetup())[0]
      let cluster = try HandoffCluster([HandoffNodeSetup(), HandoffNodeSetup()])
      let answer = try await cluster.disaggregated([request])[0]
      #expect(answer.tokens == expected.tokens && answer.prompt?.arrival?.tokens == 89)
      #expect(cluster.leaks() == [])
    }
  }
}

extension Array {
  fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
