// KV that travels while its prompt is still being computed: the same tokens as one engine alone, and nothing left over.

import Testing
import Weir
import WeirKVCache
import WeirKVTransfer

@testable import WeirEngine

@Suite struct StreamingTests {
  /// Prompts of one chunk and of several; some share a beginning.
  private func requests(_ count: Int, seed: UInt64 = 5) -> [GenerationRequest] {
    var generator = SeededGenerator(seed: seed)
    let shared = EngineFixture.prompt(64, seed: 777)
    return (0..<count).map { index in
      let length = 2 + Int(generator.next() % 350)
      var prompt = EngineFixture.prompt(length, seed: seed &* 100 &+ UInt64(index))
      if index % 4 == 3 { prompt = shared + prompt }
      var request = EngineFixture.request(prompt, maxTokens: 4 + index % 5, name: "s\(index)")
      if index % 2 == 1 {
        request.sampling.temperature = 1
        request.seed = UInt64(index)
      }
      return request
    }
  }

  private func alone(_ requests: [GenerationRequest], _ setup: HandoffNodeSetup) async throws -> [Answer] {
    let single = try HandoffCluster([setup])
    return try await single.finish(requests.map { single.submit($0, to: 0) })
  }

  static let pairs: [(HandoffNodeSetup, HandoffNodeSetup)] = [
    (HandoffNodeSetup(blocks: 500), HandoffNodeSetup(blocks: 500)),
    (HandoffNodeSetup(blocks: 500, streamBytes: 1), HandoffNodeSetup(blocks: 500)),
    (HandoffNodeSetup(blockSlots: 8, blocks: 900, streamBytes: 1), HandoffNodeSetup(blockSlots: 32, blocks: 250)),
    (HandoffNodeSetup(blocks: 500, prefixCache: false), HandoffNodeSetup(blocks: 500, prefixCache: false)),
  ]

  @Test(arguments: pairs.indices) func streamedPromptsEqualOneEngine(pair: Int) async throws {
    let (sender, receiver) = Self.pairs[pair]
    let requests = requests(24)
    let expected = try await alone(requests, receiver)
    let cluster = try HandoffCluster([sender, receiver])
    for start in stride(from: 0, to: requests.count, by: 4) {
      let halves = try cluster.stream(Array(requests[start..<(start + 4)]))
      let answers = try await cluster.finish(halves.map(\.decode))
      let prefills = try await cluster.finish(halves.map(\.prefill))
      for (index, answer) in answers.enumerated() {
        #expect(answer.tokens[0] == expected[start + index].tokens[0], "prompt \(start + index)")
        #expect(answer.prompt?.arrival?.refusal == nil, "prompt \(start + index)")
        // The sender's own first token is right too: its last block was not taken away under it.
        #expect(prefills[index].tokens[0]?.first == expected[start + index].tokens[0]?.first)
      }
    }
    let report = cluster.report(1)
    #expect(report.received >= 18 && report.recomputed.isEmpty, "\(report)")
    #expect(cluster.report(0).sent == report.received)
    #expect(cluster.leaks() == [])
  }

  /// Bytes move before the prefill is over, and a long prompt still needs few calls.
  @Test func bytesTravelDuringThePrefill() async throws {
    let cluster = try HandoffCluster([HandoffNodeSetup(runningLimit: 8, stepTokens: 32), HandoffNodeSetup()])
    let request = EngineFixture.request(EngineFixture.prompt(500), maxTokens: 6)
    let expected = try await alone([request], HandoffNodeSetup())
    let halves = try cluster.stream([request])
    var early: UInt64 = 0
    cluster.drive(until: {
      if !cluster.isOver(halves[0].prefill) { early = cluster.report(0).transfer.bytes }
      return cluster.isOver(halves[0].prefill)
    })
    let answer = try await cluster.finish([halves[0].decode])[0]
    #expect(answer.tokens[0] == expected[0].tokens[0])
    let transfer = cluster.report(0).transfer
    // Sixteen chunks of 32 rows, 32 blocks; a call carries at least as many blocks as pay for it.
    #expect(Double(early) >= 0.5 * Double(transfer.bytes), "\(early) of \(transfer.bytes) bytes")
    #expect(transfer.operations <= 9, "\(transfer.operations) calls")
    #expect(transfer.bytes == UInt64(32 * cluster.loops[0].pool.shape.blockBytes))
    _ = try await cluster.finish([halves[0].prefill])
    #expect(cluster.leaks() == [])
  }

  /// A prompt that takes longer than lease and patience keeps both alive by its progress.
  @Test func aLongPrefillRenewsTheLease() async throws {
    let cluster = try HandoffCluster([HandoffNodeSetup(runningLimit: 8, stepTokens: 8), HandoffNodeSetup()])
    let request = EngineFixture.request(EngineFixture.prompt(500), maxTokens: 3)
    let expected = try await alone([request], HandoffNodeSetup())
    let halves = try cluster.stream([request])
    // Two seconds between two chunks: longer for the prompt than lease and patience, shorter for each word of progress.
    var late = 0.0
    cluster.drive(
      until: {
        if (cluster.loops[1].desk?.node.openHandoffs ?? 0) > 0, !cluster.isOver(halves[0].prefill) {
          cluster.clock.advance(bySeconds: 2)
          late += 2
        }
        return cluster.isOver(halves[0].prefill)
      }, seconds: 300)
    #expect(late > 32, "\(late) seconds")
    let answer = try await cluster.finish([halves[0].decode])[0]
    #expect(answer.tokens[0] == expected[0].tokens[0] && answer.prompt?.arrival?.refusal == nil)
    _ = try await cluster.finish([halves[0].prefill])
    #expect(cluster.leaks() == [])
  }

  /// Either half goes away at any stage.
  @Test(arguments: 1...10, [0, 1]) func aHalfGivenUpLeavesNothingBehind(turns: Int, half: Int) async throws {
    var faults = LoopbackFaults()
    faults.delaySeconds = 0.0005...0.0015
    let cluster = try HandoffCluster(
      [HandoffNodeSetup(runningLimit: 8, stepTokens: 32, streamBytes: 1), HandoffNodeSetup()], faults: faults)
    let request = EngineFixture.request(EngineFixture.prompt(450), maxTokens: 5)
    let halves = try cluster.stream([request])
    var left = turns
    cluster.drive(until: {
      left -= 1
      return left < 0
    })
    cluster.abandon(half == 0 ? halves[0].prefill : halves[0].decode, at: half)
    if half == 0 {
      let expected = try await alone([request], HandoffNodeSetup())
      let answer = try await cluster.finish([halves[0].decode])[0]
      #expect(answer.tokens[0] == expected[0].tokens[0], "after \(turns) turns")
    } else {
      let prefill = try await cluster.finish([halves[0].prefill])[0]
      #expect(prefill.tokens[0]?.count == 1)
    }
    #expect(cluster.leaks() == [])
  }

  @Test func aSenderThatDiesInTheMiddleIsReplaced() async throws {
    let cluster = try HandoffCluster([
      HandoffNodeSetup(runningLimit: 8, stepTokens: 32, streamBytes: 1), HandoffNodeSetup(),
    ])
    let request = EngineFixture.request(EngineFixture.prompt(500), maxTokens: 8)
    let expected = try await alone([request], HandoffNodeSetup())
    let halves = try cluster.stream([request])
    cluster.drive(until: { cluster.report(0).transfer.bytes > 0 })
    #expect(!cluster.isOver(halves[0].prefill))
    cluster.kill(0)
    let answer = try await cluster.finish([halves[0].decode])[0]
    #expect(answer.tokens[0] == expected[0].tokens[0] && answer.prompt?.arrival?.refusal == "peer_lost")
    #expect(cluster.leaks() == [])
  }

  /// Anything at once, as for whole handoffs.
  @Test(arguments: 1...8) func anyMixOfFaultsKeepsTheAnswersRight(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed &* 991)
    func chance() -> Double { generator.unitDouble() * generator.unitDouble() * 0.3 }
    var faults = LoopbackFaults()
    faults.delaySeconds = 0...0.004
    faults.dropPiece = chance() / 2
    faults.corruptPiece = chance() / 2
    faults.dropMessage = chance()
    faults.duplicateMessage = chance()
    faults.reorderMessage = chance()
    faults.replayMessage = chance()
    let requests = requests(12, seed: seed)
    let expected = try await alone(requests, HandoffNodeSetup())
    let cluster = try HandoffCluster(
      [HandoffNodeSetup(runningLimit: 8, stepTokens: 32, streamBytes: 1), HandoffNodeSetup()], seed: seed,
      faults: faults)
    for start in stride(from: 0, to: requests.count, by: 3) {
      let halves = try cluster.stream(Array(requests[start..<(start + 3)]))
      let answers = try await cluster.finish(halves.map(\.decode))
      _ = try await cluster.finish(halves.map(\.prefill))
      for (index, answer) in answers.enumerated() {
        #expect(answer.tokens[0] == expected[start + index].tokens[0], "seed \(seed), prompt \(start + index)")
      }
    }
    let report = cluster.report(1)
    #expect(report.received > 0 || !report.recomputed.isEmpty, "seed \(seed): nothing was handed over")
    #expect(cluster.leaks() == [], "seed \(seed)")
  }

  @Test func withoutRoomToKeepTheTicketComesAtTheEndOrNotAtAll() async throws {
    // 12 blocks of 16 slots, of which 9 may be kept: this prompt needs 10.
    let cluster = try HandoffCluster([HandoffNodeSetup(blocks: 12), HandoffNodeSetup()])
    let box = HandoffCluster.TicketBox()
    var request = EngineFixture.request(EngineFixture.prompt(150), maxTokens: 1)
    request.handsOver = true
    request.onHandoff = { box.ticket = $0 }
    let answer = try await cluster.finish([cluster.submit(request, to: 0)])[0]
    #expect(box.ticket == nil && answer.usage?.handoff == nil && answer.tokens[0]?.count == 1)
    #expect(cluster.leaks() == [])
  }

  /// A stream's hold on what is already computed must not keep its own prompt from starting over.
  @Test(arguments: [true, false]) func aPromptThatLosesItsBlocksWhileItStreamsIsComputedAgain(cached: Bool) async throws
  {
    let setup = HandoffNodeSetup(blocks: 12, prefixCache: cached, runningLimit: 4, stepTokens: 8)
    let long = EngineFixture.request(EngineFixture.prompt(31, seed: 1), maxTokens: 40, name: "long")
    var streamed = EngineFixture.request(EngineFixture.prompt(140, seed: 2), maxTokens: 1, name: "streamed")
    let expected = try await alone([long, streamed], HandoffNodeSetup())
    let cluster = try HandoffCluster([setup])
    let box = HandoffCluster.TicketBox()
    streamed.handsOver = true
    streamed.onHandoff = { box.ticket = $0 }
    let answers = try await cluster.finish([cluster.submit(long, to: 0), cluster.submit(streamed, to: 0)])
    #expect(answers.map { $0.tokens[0] } == expected.map { $0.tokens[0] })
    #expect(box.ticket != nil && answers[1].usage?.preemptions ?? 0 > 0, "nothing was tested")
    #expect(cluster.leaks() == [])
  }
}
