// KV policies across nodes: what is kept travels, and the continuation is the undisturbed one.

import Testing
import Weir
import WeirKVCache
import WeirKVTransfer
import WeirPolicies

@testable import WeirEngine

@Suite struct LaneHandoffTests {
  private static let catalogue =
    KVPolicyKey.allCases.filter { $0 != .full && $0 != .sentencekv }.map {
      "\($0.rawValue):slack=4,chunk=\($0 == .snapkv ? "end" : "32")"
    } + ["sink-recent:positions=slots,slack=4,chunk=32", "h2o:page=8,slack=4,chunk=32"]

  private func setup(_ change: (inout HandoffNodeSetup) -> Void = { _ in }) -> HandoffNodeSetup {
    var setup = HandoffNodeSetup()
    setup.policies = KVPolicyCatalogue()
    change(&setup)
    return setup
  }

  private func requests(_ policy: String, budget: Int = 40) -> [GenerationRequest] {
    (0..<6).map { index in
      var request = EngineFixture.request(
        EngineFixture.prompt([150, 33, 97, 200, 41, 12][index], seed: UInt64(index + 1)), policy: policy,
        budget: budget,
        maxTokens: 30)
      request.id = RequestID("\(policy)-\(index)")
      if index % 2 == 1 {
        request.sampling.temperature = 1
        request.seed = UInt64(index)
      }
      return request
    }
  }

  private func undisturbed(_ requests: [GenerationRequest], _ setup: HandoffNodeSetup) async throws -> [[String]] {
    let one = try HandoffCluster([setup])
    return try await one.finish(requests.map { one.submit($0, to: 0) }).map(\.outcome)
  }

  @Test(arguments: catalogue) func lanesTravelAndChangeNothing(policy: String) async throws {
    let requests = requests(policy)
    let expected = try await undisturbed(requests, setup())
    let cluster = try HandoffCluster([setup(), setup()])
    let answers = try await cluster.disaggregated(requests)
    #expect(answers.map(\.outcome) == expected)
    for (request, answer) in zip(requests, answers) {
      #expect(answer.prompt?.arrival?.tokens == request.prompt.count && answer.prompt?.arrival?.refusal == nil)
      let kv = try #require(answer.usage?.kv.first)
      #expect(kv.policy == policy && kv.maximumSlots <= 40 + 4, "\(kv)")
    }
    let report = cluster.report(1)
    #expect(report.received == 6 && report.recomputed.isEmpty, "\(report)")
    #expect(cluster.loops[1].recent.handoffs.filter { $0.refusal == nil }.count == 6, "the page shows them")
    #expect(cluster.leaks() == [])
  }

  @Test func bytesOnTheWireFallByTheBudget() async throws {
    let prompt = EngineFixture.prompt(320)
    var bytes: [String: UInt64] = [:]
    for policy in [nil, "sink-recent", "h2o"] as [String?] {
      let cluster = try HandoffCluster([setup(), setup()])
      let request = EngineFixture.request(prompt, policy: policy, budget: policy.map { _ in 64 }, maxTokens: 4)
      _ = try await cluster.disaggregated([request])
      let report = cluster.report(1)
      #expect(report.received == 1, "\(policy ?? "full"): \(report)")
      bytes[policy ?? "full"] = report.receivedBytes
    }
    let full = Double(bytes["full"] ?? 0)
    // A budget of a fifth, the same positions everywhere, and the last token's state.
    #expect(Double(bytes["sink-recent"] ?? 0) / full < 0.21, "\(bytes)")
    // Positions of every lane and its sums come with it; rows of this model are short.
    #expect(Double(bytes["h2o"] ?? 0) / full < 0.25, "\(bytes)")
  }

  @Test func wholeLanesTravelWithTheirScores() async throws {
    // The budget is over the prompt: the first cut comes while the other node decodes, by what both have seen.
    let requests = (0..<4).map {
      EngineFixture.request(
        EngineFixture.prompt(50 + $0, seed: UInt64($0 + 1)), policy: ["h2o:slack=4", "snapkv:slack=4"][$0 % 2],
        budget: 64, maxTokens: 40)
    }
    let expected = try await undisturbed(requests, setup())
    let cluster = try HandoffCluster([setup(), setup()])
    let answers = try await cluster.disaggregated(requests)
    #expect(answers.map(\.outcome) == expected)
    #expect(answers.allSatisfy { ($0.usage?.kv.first?.droppedSlots ?? 0) > 0 })
    #expect(cluster.report(1).received == 4)
  }

  @Test(arguments: [8, 32], ["h2o:slack=4,chunk=32", "sentencekv:sentence=9", "sentencekv:sentence=9,keep=2"])
  func theReceiverMayHaveOtherBlocks(slots: Int, policy: String) async throws {
    let requests = requests(policy)
    let other = setup { $0.blockSlots = slots }
    let one = try HandoffCluster([other])
    let expected = try await one.finish(requests.map { one.submit($0, to: 0) })
    let cluster = try HandoffCluster([setup(), other])
    for (answer, wanted) in zip(try await cluster.disaggregated(requests), expected) {
      // Attention sums blocks of another length in another order.
      let far = zip(answer.logprobs, wanted.logprobs).filter { abs($0.logprob - $1.logprob) > 1e-4 }
      #expect(answer.tokens == wanted.tokens && far.isEmpty && answer.logprobs.count == wanted.logprobs.count)
    }
    #expect(cluster.report(1).received == 6 && cluster.leaks() == [])
  }

  @Test func severalAnswersBranchAtTheReceiver() async throws {
    var request = EngineFixture.request(EngineFixture.prompt(120), policy: "h2o:slack=4", budget: 40, maxTokens: 20)
    request.choices = 3
    request.sampling.temperature = 1
    request.seed = 9
    let expected = try await undisturbed([request], setup())
    let cluster = try HandoffCluster([setup(), setup()])
    var first = request
    first.choices = 1
    var continued = request
    continued.arrival = try await cluster.prefilled([first])[0]
    #expect(try await cluster.finish([cluster.submit(continued, to: 1)]).map(\.outcome) == expected)
    #expect(cluster.report(1).received == 1)
  }

  @Test func aContextMayBeCutBeforeItsQuestion() async throws {
    var request = EngineFixture.request(EngineFixture.prompt(120), policy: "h2o:slack=4", budget: 40, maxTokens: 20)
    request.policyPromptTokens = 90
    let expected = try await undisturbed([request], setup())
    let cluster = try HandoffCluster([setup(), setup()])
    #expect(try await cluster.disaggregated([request]).map(\.outcome) == expected)
    #expect(cluster.report(1).received == 1)
  }

  @Test(arguments: ["h2o:slack=4,chunk=32", "sink-recent:positions=slots,slack=4,chunk=32"])
  func preemptionAfterTheHandoffChangesNothing(policy: String) async throws {
    let requests = requests(policy, budget: 100)
    let expected = try await undisturbed(requests, setup())
    let cluster = try HandoffCluster([setup(), setup { $0.blocks = 22 }])
    let answers = try await cluster.disaggregated(requests)
    #expect(answers.map(\.outcome) == expected)
    #expect(answers.reduce(0) { $0 + ($1.usage?.preemptions ?? 0) } > 0, "nothing was preempted")
    #expect(cluster.leaks() == [])
  }

  @Test func nodesThatMeanDifferentPoliciesCompute() async throws {
    let prompt = EngineFixture.prompt(120)
    let kept = EngineFixture.request(prompt, policy: "h2o:slack=4", budget: 40, maxTokens: 12)
    for (policy, budget) in [("h2o:slack=4", 48), ("tova:slack=4", 40), (nil, nil)] as [(String?, Int?)] {
      let other = EngineFixture.request(prompt, policy: policy, budget: budget, maxTokens: 12)
      let expected = try await undisturbed([other, kept], setup())
      let cluster = try HandoffCluster([setup(), setup()])
      var (first, second) = (other, kept)
      first.arrival = try await cluster.prefilled([kept])[0]
      second.arrival = try await cluster.prefilled([other])[0]
      #expect(first.arrival != nil && second.arrival != nil)
      let answers = try await cluster.finish([cluster.submit(first, to: 1), cluster.submit(second, to: 1)])
      #expect(answers.map(\.outcome) == expected)
      #expect(answers.allSatisfy { $0.prompt?.arrival?.refusal == "kv_policy" }, "\(policy ?? "full")")
      #expect(cluster.leaks() == [])
    }
  }

  /// Rows after the handoff choose as they would have: the same keys, of which as many had been read before.
  @Test(arguments: SelectionTests.catalogue) func rowsChooseAsIfNothingHadMoved(policy: String) async throws {
    let requests = requests(policy, budget: 24)
    let one = try HandoffCluster([setup()])
    let expected = try await one.finish(requests.map { one.submit($0, to: 0) })
    let cluster = try HandoffCluster([setup(), setup()])
    let answers = try await cluster.disaggregated(requests)
    #expect(answers.map(\.outcome) == expected.map(\.outcome))
    for (answer, wanted) in zip(answers, expected) {
      let kv = try #require(answer.usage?.kv.first)
      let reading = try #require(wanted.usage?.kv.first?.reading)
      #expect(kv.reading == reading && reading.meanSlots == 24 && kv.questions == wanted.usage?.kv.first?.questions)
    }
    // The short prompt's first rows read everything; every other row of 29 chose.
    #expect(answers.dropLast().allSatisfy { $0.usage?.kv.first?.reading?.rows == 29 })
    #expect(cluster.report(1).received == 6 && cluster.leaks() == [])
  }

  @Test(arguments: ["sentencekv:sentence=9", "sentencekv:sentence=9,keep=2"])
  func choosingSurvivesPreemptionBranchesAndFaults(policy: String) async throws {
    let requests = requests(policy, budget: 24)
    let expected = try await undisturbed(requests, setup())
    // Too few blocks for all at once.
    let tight = try HandoffCluster([setup(), setup { $0.blocks = 22 }])
    let answers = try await tight.disaggregated(requests)
    #expect(answers.map(\.outcome) == expected)
    #expect(answers.reduce(0) { $0 + ($1.usage?.preemptions ?? 0) } > 0, "nothing was preempted")
    #expect(tight.leaks() == [])

    var faults = LoopbackFaults()
    faults.dropPiece = 0.05
    faults.corruptPiece = 0.1
    faults.corruptMessage = 0.05
    for seed in 1...3 as ClosedRange<UInt64> {
      let cluster = try HandoffCluster([setup(), setup()], seed: seed, faults: faults)
      #expect(try await cluster.disaggregated(requests).map(\.outcome) == expected, "seed \(seed)")
      #expect(cluster.leaks() == [], "seed \(seed)")
    }

    var branches = requests[0]
    branches.choices = 3
    branches.sampling.temperature = 1
    branches.seed = 9
    let branched = try HandoffCluster([setup(), setup()])
    var first = branches
    first.choices = 1
    var continued = branches
    continued.arrival = try await branched.prefilled([first])[0]
    let three = try await branched.finish([branched.submit(continued, to: 1)])
    #expect(try await three.map(\.outcome) == undisturbed([branches], setup()))
    #expect(branched.report(1).received == 1)
  }

  /// A row that has chosen remembers what nobody can rebuild from keys alone.
  @Test func whoHasChosenIsNotHandedOver() async throws {
    var request = EngineFixture.request(EngineFixture.prompt(120), policy: "sentencekv", budget: 40, maxTokens: 8)
    request.handsOver = true
    let cluster = try HandoffCluster([setup()])
    let answer = try await cluster.finish([cluster.submit(request, to: 0)])[0]
    #expect(answer.usage?.handoff == nil && answer.usage?.kv.first?.reading?.rows == 7)
    #expect(cluster.leaks() == [])
  }

  @Test(arguments: 1...6) func faultsLoseNothing(seed: UInt64) async throws {
    var faults = LoopbackFaults()
    faults.dropPiece = 0.05
    faults.corruptPiece = 0.1
    faults.corruptMessage = 0.05
    faults.duplicateMessage = 0.2
    faults.reorderMessage = 0.2
    let requests = requests("h2o:slack=4,chunk=32")
    let expected = try await undisturbed(requests, setup())
    let cluster = try HandoffCluster([setup(), setup()], seed: seed, faults: faults)
    #expect(try await cluster.disaggregated(requests).map(\.outcome) == expected, "seed \(seed)")
    #expect(cluster.leaks() == [], "seed \(seed)")
  }
}
