// Distributions after each filter against NumPy, draws against distributions, log probabilities.

import Testing
import WeirBasics
import WeirSampling

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct DistributionTests {
  private static func parameters(_ p: JSONValue) -> SamplingParameters {
    func float(_ name: String, _ neutral: Float) -> Float { p[name]?.double.map(Float.init) ?? neutral }
    func tokens(_ value: JSONValue?) -> Set<TokenID>? {
      value?.array.map { Set($0.compactMap(\.int).map { TokenID($0) }) }
    }
    var result = SamplingParameters()
    result.temperature = float("temperature", 1)
    result.topK = p["top_k"]?.int ?? 0
    result.topP = float("top_p", 1)
    result.minP = float("min_p", 0)
    result.typicalP = float("typical_p", 1)
    result.topNSigma = float("top_n_sigma", 0)
    result.repetitionPenalty = float("repetition", 1)
    result.frequencyPenalty = float("frequency", 0)
    result.presencePenalty = float("presence", 0)
    result.penaltyWindowTokens = p["window"]?.int ?? -1
    result.allowedTokens = tokens(p["allowed"])
    result.bannedTokens = tokens(p["banned"]) ?? []
    if let threshold = p["xtc_threshold"]?.double {
      result.xtc = XTCParameters(probability: 1, threshold: Float(threshold))
    }
    for (token, bias) in p["logit_bias"]?.object ?? [:] {
      result.logitBias[TokenID(Int(token) ?? 0)] = Float(bias.double ?? 0)
    }
    if let d = p["dry"] {
      var dry = DRYParameters()
      dry.multiplier = Float(d["multiplier"]?.double ?? 0)
      dry.base = Float(d["base"]?.double ?? 1)
      dry.allowedLength = d["allowed_length"]?.int ?? 1
      dry.windowTokens = d["window"]?.int ?? -1
      dry.sequenceBreakers = tokens(d["breakers"]) ?? []
      result.dry = dry
    }
    return result
  }

  @Test func everyFilterGivesTheDistributionOfTheReference() throws {
    let golden = try Golden.json("probabilities.json")
    let prompt = (golden["prompt"]?.array ?? []).compactMap(\.int).map { TokenID($0) }
    let answer = (golden["answer"]?.array ?? []).compactMap(\.int).map { TokenID($0) }
    let cases = try #require(golden["cases"]?.array)
    #expect(cases.count > 30)
    for item in cases {
      let parameters = Self.parameters(try #require(item["parameters"]))
      var row = try #require(item["logits"]?.array).compactMap(\.double).map { Float($0) }
      try parameters.validate(vocabularySize: row.count)
      var sampler = Sampler(parameters: parameters, seed: 9, vocabularySize: row.count, promptTokens: prompt)
      for token in answer { sampler.accept(token) }
      let found = row.withUnsafeMutableBufferPointer { sampler.distribution($0) }
      let expected = try #require(item["probabilities"]?.object)
      // Tokens below float's reach beside the best may be missing on either side.
      let kept = found.filter { $0.probability > 1e-12 }
      let wanted = expected.filter { ($0.1.double ?? 0) > 1e-12 }
      #expect(kept.count == wanted.count, "\(item["parameters"]?.serialized() ?? "")")
      for entry in kept {
        let value = try #require(expected[String(entry.token.rawValue)]?.double, "\(entry.token) should be gone")
        // float32 logits up to 16 in magnitude carry 1e-6 into the exponent; five steps of arithmetic.
        #expect(abs(entry.probability - value) <= 1e-5 * value + 1e-12)
      }
      for _ in 0..<20 {
        let token = row.withUnsafeMutableBufferPointer { sampler.sample($0).token }
        #expect(expected[String(token.rawValue)] != nil)
      }
      let logprobs = try #require(item["logprobs"]?.array).compactMap(\.double)
      let mine = row.withUnsafeBufferPointer { buffer in
        let raw = RowLogprobs(buffer)
        return logprobs.indices.map { Double(raw.logprob(of: TokenID($0))) }
      }
      for (value, expected) in zip(mine, logprobs) { #expect(abs(value - expected) < 1e-5) }
    }
  }

  /// Upper quantile of chi-square by Wilson and Hilferty; 4.75 standard deviations is about one in a million.
  private func chiSquareLimit(_ freedom: Double) -> Double {
    let a = 2 / (9 * freedom)
    let root = 1 - a + 4.75 * a.squareRoot()
    return freedom * root * root * root
  }

  @Test(arguments: 0..<6) func drawsFollowTheDistribution(variant: Int) {
    let seed: UInt64 = 0xC0FFEE + UInt64(variant)
    var generator = SeededGenerator(seed: seed)
    let size = 200
    var row = (0..<size).map { _ in Float(generator.normalDouble()) * 2 }
    var sampler = makeSampler(size, seed: seed) {
      switch variant {
      case 0: $0.temperature = 0.9
      case 1: $0.topP = 0.8
      case 2: $0.topK = 12
      case 3: $0.minP = 0.02
      case 4: $0.typicalP = 0.6
      default: $0.xtc = XTCParameters(probability: 1, threshold: 0.03)
      }
    }
    let expected = row.withUnsafeMutableBufferPointer { sampler.distribution($0) }
    let draws = 6_000
    var counts = [Int](repeating: 0, count: size)
    for _ in 0..<draws {
      let token = row.withUnsafeMutableBufferPointer { sampler.sample($0).token }
      counts[token.index] += 1
      sampler.accept(token)
    }
    // Cells with fewer than ten expected draws are pooled: the approximation needs about five.
    var statistic = 0.0
    var cells = 0
    var pooled = (expected: 0.0, counted: 0)
    for entry in expected {
      let mean = entry.probability * Double(draws)
      let count = counts[entry.token.index]
      counts[entry.token.index] = 0
      if mean < 10 {
        pooled = (pooled.expected + mean, pooled.counted + count)
      } else {
        statistic += (Double(count) - mean) * (Double(count) - mean) / mean
        cells += 1
      }
    }
    if pooled.expected >= 10 {
      let difference = Double(pooled.counted) - pooled.expected
      statistic += difference * difference / pooled.expected
      cells += 1
    }
    #expect(counts.allSatisfy { $0 == 0 }, "seed \(seed): a token outside the distribution was drawn")
    #expect(cells > 3)
    #expect(statistic < chiSquareLimit(Double(cells - 1)), "seed \(seed): \(statistic) over \(cells) cells")
  }

  @Test func logprobsRankAndAlternativesAreOfTheRawRow() {
    let seed: UInt64 = 77
    var generator = SeededGenerator(seed: seed)
    for size in [1, 7, 64, 65, 1000, 5000] {
      let row = (0..<size).map { _ in Float(generator.normalDouble()) * 5 }
      var sampler = makeSampler(size) {
        $0.temperature = 0.3
        $0.logitBias = [0: 50]
      }
      let chosen = sample(&sampler, row, top: 20)
      let best = Double(row.max() ?? 0)
      let sum = row.reduce(0.0) { $0 + exp(Double($1) - best) }
      let sorted = row.indices.sorted { row[$0] > row[$1] || (row[$0] == row[$1] && $0 < $1) }
      #expect(chosen.top.map(\.token.index) == Array(sorted.prefix(20)), "seed \(seed) size \(size)")
      for entry in chosen.top {
        #expect(abs(Double(entry.logprob) - (Double(row[entry.token.index]) - best - log(sum))) < 1e-5)
      }
      #expect(chosen.rank == 1 + row.filter { $0 > row[chosen.token.index] }.count)
    }
  }

  @Test func everyRangeIsCheckedAndNamed() throws {
    func refusal(_ change: (inout SamplingParameters) -> Void) -> String? {
      var parameters = SamplingParameters()
      change(&parameters)
      do {
        try parameters.validate(vocabularySize: 100)
        return nil
      } catch { return error.parameter }
    }
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.temperature = -0.1 } == "temperature")
    #expect(refusal { $0.temperature = .nan } == "temperature")
    #expect(refusal { $0.topK = -2 } == "top_k")
    #expect(refusal { $0.topP = 0 } == "top_p")
    #expect(refusal { $0.topP = 1.01 } == "top_p")
    #expect(refusal { $0.minP = .nan } == "min_p")
    #expect(refusal { $0.typicalP = 0 } == "typical_p")
    #expect(refusal { $0.topNSigma = -1 } == "top_n_sigma")
    #expect(refusal { $0.repetitionPenalty = 0 } == "repetition_penalty")
    #expect(refusal { $0.frequencyPenalty = 2.1 } == "frequency_penalty")
    #expect(refusal { $0.presencePenalty = -2.1 } == "presence_penalty")
    #expect(refusal { $0.penaltyWindowTokens = -2 } == "penalty_window")
    #expect(refusal { $0.xtc = XTCParameters(probability: 2, threshold: 0.1) } == "xtc_probability")
    #expect(refusal { $0.logitBias = [100: 1] } == "logit_bias")
    #expect(refusal { $0.logitBias = [1: 101] } == "logit_bias")
    #expect(refusal { $0.bannedTokens = [100] } == "banned_tokens")
    #expect(refusal { $0.allowedTokens = [] } == "allowed_token_ids")
  }
}
