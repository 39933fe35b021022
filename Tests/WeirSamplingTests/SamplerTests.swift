// Choosing tokens: ties, masks, bans, windows, reproducibility.

import Testing
import WeirBasics
import WeirSampling

func sample(
  _ sampler: inout Sampler, _ row: [Float], mask: TokenMask? = nil, banned: Set<TokenID> = [], top: Int = -1
) -> SampledToken {
  var copy = row
  return copy.withUnsafeMutableBufferPointer { sampler.sample($0, mask: mask, bannedNow: banned, topCount: top) }
}

func makeSampler(_ size: Int, seed: UInt64 = 1, prompt: [TokenID] = [], _ change: (inout SamplingParameters) -> Void)
  -> Sampler
{
  var parameters = SamplingParameters()
  change(&parameters)
  return Sampler(parameters: parameters, seed: seed, vocabularySize: size, promptTokens: prompt)
}

@Suite struct SamplerTests {
  @Test func greedyTakesTheLowestTokenOfEquals() {
    for size in [3, 63, 64, 65, 200, 1000] {
      var row = [Float](repeating: 0, count: size)
      row[size - 1] = 2
      row[size / 2] = 2
      var greedy = makeSampler(size) { $0.temperature = 0 }
      #expect(sample(&greedy, row).token.index == size / 2)
      var one = makeSampler(size) { $0.topK = 1 }
      #expect(sample(&one, row).token.index == size / 2)
    }
  }

  @Test func notANumberIsNeverChosen() {
    var row = [Float](repeating: .nan, count: 130)
    row[77] = -3
    row[99] = -.infinity
    for temperature in [Float(0), 1] {
      var sampler = makeSampler(130) { $0.temperature = temperature }
      let chosen = sample(&sampler, row, top: 2)
      #expect(chosen.token == 77)
      #expect(chosen.isAllowed)
      #expect(chosen.logprob == 0)
      #expect(chosen.rank == 1)
    }
  }

  @Test func saysSoWhenNothingIsAllowed() {
    var sampler = makeSampler(100) { $0.temperature = 0 }
    let chosen = sample(&sampler, [Float](repeating: 1, count: 100), mask: TokenMask(count: 100))
    #expect(!chosen.isAllowed)
    var masked = TokenMask(count: 100)
    masked.insert(42)
    let banned = sample(&sampler, [Float](repeating: 1, count: 100), mask: masked, banned: [42])
    #expect(!banned.isAllowed)
    #expect(banned.token == 42)
  }

  @Test func maskBansAndAllowedSetAllHold() {
    let size = 300
    var generator = SeededGenerator(seed: 5)
    for round in 0..<200 {
      let row = (0..<size).map { _ in Float(generator.normalDouble()) * 4 }
      var mask = TokenMask(count: size)
      for _ in 0..<20 { mask.insert(TokenID(Int(generator.next() % UInt64(size)))) }
      let allowed = Set((0..<150).map { _ in TokenID(Int(generator.next() % UInt64(size))) })
      let banned = Set(mask.tokens.prefix(3))
      var sampler = makeSampler(size, seed: UInt64(round)) {
        $0.allowedTokens = allowed
        $0.bannedTokens = [7]
        $0.topP = 0.9
      }
      let chosen = sample(&sampler, row, mask: mask, banned: banned)
      guard chosen.isAllowed else {
        #expect(Set(mask.tokens).intersection(allowed).subtracting(banned).subtracting([7]).isEmpty)
        continue
      }
      #expect(mask.allows(chosen.token) && allowed.contains(chosen.token) && !banned.contains(chosen.token))
      #expect(chosen.token != 7)
    }
  }

  @Test func aRowIsNotChangedBySampling() {
    var row = (0..<500).map { Float($0 % 17) }
    let before = row
    var sampler = makeSampler(500, prompt: [1, 2, 3]) {
      $0.repetitionPenalty = 1.3
      $0.logitBias = [4: 10]
    }
    row.withUnsafeMutableBufferPointer { _ = sampler.sample($0, mask: TokenMask(count: 500), topCount: 3) }
    #expect(row == before)
  }

  @Test func sameSeedGivesSameTokensWhateverWasSampledBetween() {
    var generator = SeededGenerator(seed: 11)
    let rows = (0..<40).map { _ in (0..<777).map { _ in Float(generator.normalDouble()) * 3 } }
    func run(_ seed: UInt64) -> [TokenID] {
      var sampler = makeSampler(777, seed: seed) { $0.topP = 0.95 }
      return rows.map { row in
        _ = sample(&sampler, rows[0])  // a look that is not accepted leaves no trace
        let token = sample(&sampler, row).token
        sampler.accept(token)
        return token
      }
    }
    #expect(run(3) == run(3))
    #expect(run(3) != run(4))
  }
}
