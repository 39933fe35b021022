// Two engines with their own threads, over the real transport.

import Foundation
import Testing
import Weir
import WeirKVTransfer
import WeirPolicies

private func ucx(
  _ path: UCXConfiguration.Path, _ memory: [TransferMemory], _ onNews: @escaping @Sendable () -> Void
) throws(TransportError) -> any Transport {
  try TransportThread(memory: memory, onNews: onNews) { () throws(TransportError) in
    let control = ControlConfiguration(authenticator: testAuthenticator) {
      (0..<HandshakeMessage.nonceBytes).map { _ in UInt8.random(in: 0...255) }
    }
    return try UCXTransport(configuration: UCXConfiguration(path: path, control: control), clock: SystemClock())
  }
}

private let hasUCX: Bool = {
  guard let transport = try? ucx(.tcp, [], {}) else { return false }
  transport.close()
  return true
}()

@Suite(.enabled(if: hasUCX), .serialized) struct HandoffEngineTests {
  private func engine(_ path: UCXConfiguration.Path, incarnation: UInt64, blockSlots: Int = 32) throws -> Engine {
    try EngineFixture.engine {
      $0.blockSlots = blockSlots
      $0.kvBytes = 4 << 20
      $0.policies = KVPolicyCatalogue()
      $0.handoff = HandoffOptions(incarnation: incarnation, authenticator: testAuthenticator) {
        memory, onNews throws(TransportError) in try ucx(path, memory, onNews)
      }
    }
  }

  private func requests(_ count: Int) -> [GenerationRequest] {
    (0..<count).map { index in
      var request = EngineFixture.request(
        EngineFixture.prompt(2 + (index * 37) % 220, seed: UInt64(index + 1)), maxTokens: 8, name: "u\(index)")
      if index % 2 == 1 {
        request.sampling.temperature = 1
        request.seed = UInt64(index)
      }
      return request
    }
  }

  /// Prompts of each case; WEIR_HANDOFF_PROMPTS asks for more.
  private static let promptCount = ProcessInfo.processInfo.environment["WEIR_HANDOFF_PROMPTS"].flatMap { Int($0) } ?? 50

  @Test(arguments: UCXConfiguration.Path.allCases, [32, 16]) func promptsEqualOneEngine(
    path: UCXConfiguration.Path, receiverSlots: Int
  ) async throws {
    let single = try EngineFixture.engine()
    let sender = try engine(path, incarnation: 1)
    let receiver = try engine(path, incarnation: 2, blockSlots: receiverSlots)
    var taken = 0
    for request in requests(Self.promptCount) {
      let expected = try await Answer.of(request, single)
      var first = request
      first.maxTokens = 1
      first.handsOver = true
      var continued = request
      continued.arrival = try await Answer.of(first, sender).usage?.handoff
      let answer = try await Answer.of(continued, receiver)
      #expect(answer.tokens[0] == expected.tokens[0], "\(request.id)")
      taken += answer.prompt?.arrival?.tokens ?? 0
    }
    #expect(taken > 40 * Self.promptCount, "only \(taken) tokens were handed over")
    let report = await receiver.status().handoffs
    #expect(report.received == Self.promptCount && report.recomputed.isEmpty, "\(report)")
    await expectAllFree([sender, receiver])
  }

  /// What policies have kept, and what they choose by, over both paths.
  @Test(arguments: UCXConfiguration.Path.allCases) func retainedLanesEqualOneEngine(
    path: UCXConfiguration.Path
  ) async throws {
    let single = try EngineFixture.policyEngine { $0.policies = KVPolicyCatalogue() }
    let sender = try engine(path, incarnation: 1)
    let receiver = try engine(path, incarnation: 2)
    let policies = ["h2o:slack=4", "sentencekv:sentence=9", "sentencekv:sentence=9,keep=2"]
    for (index, policy) in policies.enumerated() {
      for length in [70, 200] {
        var request = EngineFixture.request(
          EngineFixture.prompt(length, seed: UInt64(index + 1)), policy: policy, budget: 32, maxTokens: 20)
        request.id = RequestID("\(policy)-\(length)")
        let expected = try await Answer.of(request, single)
        var first = request
        first.maxTokens = 1
        first.handsOver = true
        request.arrival = try await Answer.of(first, sender).usage?.handoff
        let answer = try await Answer.of(request, receiver)
        #expect(answer.tokens[0] == expected.tokens[0], "\(request.id)")
        #expect(
          answer.logprobs.map(\.logprob.bitPattern) == expected.logprobs.map(\.logprob.bitPattern), "\(request.id)")
        #expect(answer.usage?.kv.first?.reading == expected.usage?.kv.first?.reading, "\(request.id)")
        #expect(answer.prompt?.arrival?.tokens == length, "\(request.id)")
      }
    }
    let report = await receiver.status().handoffs
    #expect(report.received == 6 && report.recomputed.isEmpty, "\(report)")
    await expectAllFree([sender, receiver])
  }

  private func expectAllFree(_ engines: [Engine]) async {
    for engine in engines {
      // The last word of a handoff may still be on its way to the sender.
      var status = await engine.status()
      let end = SystemClock().now().advanced(bySeconds: 10)
      repeat {
        await engine.clearPrefixCache()
        status = await engine.status()
      } while status.load.freeBlocks < status.load.totalBlocks && SystemClock().now() < end
      #expect(status.load.freeBlocks == status.load.totalBlocks && status.handoffs.held == 0)
    }
  }
}
