// Roles that change all the time on two tiny engines: nothing is lost, nothing is wrong.

import Testing
import Weir
import WeirCluster
import WeirEngine
import WeirEvaluation
import WeirKVTransfer
import WeirPolicies

private let hasUCX: Bool = {
  guard let transport = try? LocalTransport.make(.tcp, processor: nil, memory: []) else { return false }
  transport.close()
  return true
}()

/// Turns both nodes around at every tick.
private struct Swinging: RolePlan {
  let tickSeconds = 0.01
  private var epoch = 0

  mutating func tick(_ facts: RoleFacts) -> RoleDecision {
    let roles: [Role] = epoch / facts.nodes.count % 2 == 0 ? [.decode, .prefill] : [.prefill, .decode]
    let directives = zip(facts.nodes, roles).map { node, role -> RoleDirective in
      epoch += 1
      return RoleDirective(node: node.id, role: role, timeToLiveCycles: 10, epoch: epoch, reason: "it is its turn")
    }
    return RoleDecision(regime: .normal, prefillScore: 0, decodeScore: 0, directives: directives, reason: "swinging")
  }
}

@Suite(.enabled(if: hasUCX), .serialized) struct RoleStudyTests {
  private func study() throws -> RoleStudy {
    let engines = try (0..<2).map { number in
      try EngineEvaluationTests.engine {
        $0.kvBytes = 8 << 20
        $0.blockSlots = 16
        $0.handoff = .local(
          .sharedMemory, processor: nil, incarnation: UInt64(number + 1), style: TransferStyleSwitch())
      }
    }
    var study = RoleStudy(engines: engines, routing: LoadAware(), clock: SystemClock())
    study.inFlight = 6
    return study
  }

  private let mixes = [
    RequestMix(name: "long", promptTokens: 150, answerTokens: 3),
    RequestMix(name: "short", promptTokens: 20, answerTokens: 12),
  ]

  @Test func overFiftyFlipsNothingIsDroppedOrWrong() async throws {
    let study = try study()
    var answers: RoleStudy.Answers = [:]
    let swinging = try await study.run(
      RoleSetup(name: "swinging", homes: [.prefill, .decode], plan: Swinging()), mixes, phase: 4, count: 40,
      leastFlips: 50, mostRequests: 2000, answers: &answers)
    #expect(swinging.flips >= 50 && swinging.dropped == 0, "\(swinging.flips) flips, \(swinging.dropped) dropped")
    #expect(swinging.handedOver == swinging.requests && swinging.recomputed.isEmpty, "\(swinging.recomputed)")
    let alone = try await study.run(
      RoleSetup(name: "colocated", homes: [.mixed, .mixed], plan: StaticRoles(), routing: RoundRobin()), mixes,
      phase: 4,
      count: swinging.requests, answers: &answers)
    #expect(alone.wrong == 0 && alone.dropped == 0 && alone.handedOver == 0)
    #expect(alone.requests == swinging.requests && answers.count == alone.requests)
    let report = RoleReport([swinging, alone])
    #expect(report.table.split(separator: "\n").count == 3 && report.charts.count == 1)
    #expect(report.figures["long, short"] != nil)
  }

  @Test func staticRolesStay() async throws {
    let study = try study()
    var answers: RoleStudy.Answers = [:]
    let result = try await study.run(
      RoleSetup(name: "static", homes: [.prefill, .decode], plan: StaticRoles()), mixes, count: 8, answers: &answers)
    #expect(result.flips == 0 && result.handedOver == 8 && result.requests == 8)
    #expect(result.firstTokenSeconds.count == 8 && result.gapSeconds.count == 4 * 2 + 4 * 11)
  }
}
