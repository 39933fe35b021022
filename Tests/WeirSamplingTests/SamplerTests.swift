// Choosing tokens: ties, masks, bans, windows, reproducibility.

import Testing
import WeirBasics
import WeirSampling

#if canImport(Glibc)
  import Glibc
#endif

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

@Suite struct SelectionTests {
  /// Large rows take other ways through the sampler than the golden ones: partitions instead of sorts.
  @Test(arguments: [Float(0.3), 0.9, 0.99]) func nucleusOfALargeFlatRowIsThatOfASort(topP: Float) {
    let seed: UInt64 = 6
    var generator = SeededGenerator(seed: seed)
    // Few distinct values, so that the cut falls among equals.
    var row = (0..<20_000).map { _ in Float(generator.next() % 50) * 0.05 }
    var sampler = makeSampler(row.count) { $0.topP = topP }
    let found = row.withUnsafeMutableBufferPointer { sampler.distribution($0) }
    let order = row.indices.sorted { row[$0] > row[$1] || (row[$0] == row[$1] && $0 < $1) }
    let total = row.reduce(0.0) { $0 + weight($1) }
    var mass = 0.0
    var count = 0
    while mass < Double(topP) * total {
      mass += weight(row[order[count]])
      count += 1
    }
    // Sums of 20,000 floats in different orders may differ by one token at the cut.
    #expect(abs(found.count - count) <= 1, "seed \(seed)")
    #expect(found.map(\.token.index) == Array(order.prefix(found.count)))
  }

  @Test func typicalSetOfALargeRowIsThatOfASort() {
    var generator = SeededGenerator(seed: 14)
    var row = (0..<20_000).map { _ in Float(generator.normalDouble()) }
    var sampler = makeSampler(row.count) { $0.typicalP = 0.4 }
    let found = row.withUnsafeMutableBufferPointer { sampler.distribution($0) }
    let total = row.reduce(0.0) { $0 + weight($1) }
    let entropy = row.reduce(0.0) { $0 - weight($1) / total * log2(weight($1) / total) } / log2(exp1)
    let order = row.indices.sorted { distance(row[$0], total, entropy) < distance(row[$1], total, entropy) }
    var mass = 0.0
    var kept: Set<Int> = []
    for i in order where mass < 0.4 * total {
      mass += weight(row[i])
      kept.insert(i)
    }
    // Rounding may exchange tokens right at the cut.
    #expect(kept.symmetricDifference(found.map(\.token.index)).count <= 4)
  }

  private let exp1 = 2.718281828459045

  private func weight(_ logit: Float) -> Double { pow(exp1, Double(logit)) }

  private func distance(_ logit: Float, _ total: Double, _ entropy: Double) -> Double {
    abs(log2(total / weight(logit)) / log2(exp1) - entropy)
  }

  @Test func theExponentialIsAccurate() {
    // Seen from outside: log probabilities over a row that spans the whole range.
    var row = (0..<4_096).map { -Float($0) * 0.02 }
    let sum = row.reduce(0.0) { $0 + weight($1) }
    var sampler = makeSampler(row.count) { _ in }
    let found = row.withUnsafeMutableBufferPointer { sampler.distribution($0) }
    for entry in found where entry.probability > 1e-30 {
      let expected = weight(row[entry.token.index]) / sum
      #expect(abs(entry.probability - expected) <= 1e-6 * expected)
    }
  }

  @Test func aRepetitionIsPunishedUnlessABreakerStandsInIt() {
    let prompt: [TokenID] = [1, 2, 3, 4, 9, 1, 2, 3]
    var dry = DRYParameters()
    dry.multiplier = 5
    func best(_ dry: DRYParameters) -> TokenID {
      var sampler = makeSampler(10, prompt: prompt) {
        $0.temperature = 0
        $0.dry = dry
      }
      var row = [Float](repeating: 0, count: 10)
      row[4] = 3
      row[6] = 1
      return sample(&sampler, row).token
    }
    #expect(best(dry) == 6)
    dry.sequenceBreakers = [3]
    #expect(best(dry) == 4)
    dry.sequenceBreakers = [1]
    #expect(best(dry) == 6)
    dry.allowedLength = 4
    dry.sequenceBreakers = []
    #expect(best(dry) == 4)
  }
}
