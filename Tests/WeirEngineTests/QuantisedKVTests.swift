// KV in fewer bits: how far answers move, what it saves, and that policies work on it as on any other.

import Testing
import Weir
import WeirBasics
import WeirPolicies

@Suite struct QuantisedKVTests {
  private func engine(_ key: KVElementType, _ value: KVElementType) throws -> Engine {
    try EngineFixture.engine {
      $0.keyType = key
      $0.valueType = value
      $0.policies = KVPolicyCatalogue()
    }
  }

  private func logprobs(_ engine: Engine, seed: UInt64) async throws -> [Float] {
    var request = EngineFixture.request(EngineFixture.prompt(200, seed: seed), maxTokens: 0)
    request.promptLogprobs = 0
    return (try await Answer.of(request, engine).prompt?.promptLogprobs ?? []).compactMap { $0?.logprob }
  }

  /// Mean distance of the log-probabilities of 199 tokens from those with f16, on a random model: four-bit keys cost the
  /// most, because they move where attention goes.
  @Test(
    arguments: [
      (KVElementType.q8_0, KVElementType.q8_0, Float(0.002)), (.q8_0, .q4_0, 0.02), (.q4_0, .q8_0, 0.02),
      (.q4_0, .q4_0, 0.03),
    ])
  func staysNearHalves(key: KVElementType, value: KVElementType, tolerance: Float) async throws {
    let (exact, rounded) = (try engine(.f16, .f16), try engine(key, value))
    for seed in 1...3 as ClosedRange<UInt64> {
      let wanted = try await logprobs(exact, seed: seed)
      let found = try await logprobs(rounded, seed: seed)
      #expect(wanted.count == 199 && found.count == 199)
      let distance = zip(wanted, found).reduce(Float(0)) { $0 + abs($1.0 - $1.1) } / 199
      #expect(distance > 0 && distance < tolerance, "seed \(seed): \(distance)")
    }
  }

  @Test func fourBitsTakeLittleMoreThanAQuarter() throws {
    let (half, four) = (try engine(.f16, .f16).memoryPlan.blockBytes, try engine(.q4_0, .q4_0).memoryPlan.blockBytes)
    #expect(Double(four) / Double(half) < 0.3, "\(four) of \(half) bytes")
    #expect(KVElementType.q4_0.rowBytes(headDim: 64) == 36)
  }

  @Test(arguments: ["h2o:slack=4", "keydiff:slack=4"]) func policiesWorkOnFourBits(policy: String) async throws {
    let engine = try engine(.q4_0, .q4_0)
    func outcome(_ policy: String, _ budget: Int?) async throws -> Answer {
      try await Answer.of(EngineFixture.request(EngineFixture.prompt(150), policy: policy, budget: budget), engine)
    }
    let full = try await outcome("full", nil)
    let ample = try await outcome(policy, 100_000)
    #expect(full.tokens == ample.tokens && full.logprobs == ample.logprobs)
    let small = try await outcome(policy, 48)
    #expect(small.usage?.kv.first?.maximumSlots ?? 99 <= 52 && small.logprobs != full.logprobs)
  }
}
