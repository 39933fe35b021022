// Every retention policy against the positions that the NumPy twin keeps (Tests/Golden/policies/make_policies.py).

import Foundation
import Testing
import WeirBasics
import WeirKVCache
import WeirPolicies
import WeirTestSupport

/// The golden file.
struct GoldenPolicies: Decodable {
  struct Lane: Decodable, CustomStringConvertible {
    struct Parameters: Decodable {
      var window: Int?
      var kernel: Int?
      var pooling: String?
      var recent_share: Double?
      var decay: Double?
      var page: Int?
      var seed: Int?
      var spans: [[Int]]?

      /// As they stand behind a policy's name.
      var texts: [String] {
        var texts: [String] = []
        if let window { texts.append("window=\(window)") }
        if let kernel { texts.append("kernel=\(kernel)") }
        if let pooling { texts.append("pooling=\(pooling)") }
        if let recent_share { texts.append("recent_share=\(recent_share)") }
        if let decay { texts.append("decay=\(decay)") }
        if let page { texts.append("page=\(page)") }
        if let seed { texts.append("seed=\(seed)") }
        if let spans { texts.append("spans=" + spans.map { "\($0[0])-\($0[1])" }.joined(separator: "+")) }
        return texts
      }
    }

    let policy: String
    let stream: UInt64
    let headDim, group, layer, kvHead, prompt, decode, chunk, budget, sinks, recent, slack: Int
    let parameters: Parameters?
    let afterPrompt, atEnd: [Int]

    var description: String { name }

    var name: String {
      guard policy != "full" else { return policy }
      let floors = ["sinks=\(sinks)", "recent=\(recent)", "chunk=\(chunk)", "slack=\(slack)"]
      return "\(policy):" + (floors + (parameters?.texts ?? [])).joined(separator: ",")
    }
  }

  struct Sentences: Decodable {
    let stream: UInt64
    let sizes: [Int]
    let holes, budget, sinks, recent, steps, group, headDim: Int
    let vectors: [Float]
    let selected: [[Int]]
  }

  let lanes: [Lane]
  let sentences: [Sentences]
  let shares: [Shares]

  /// One step's choice among sentences with a mean for every `vector` tokens, by shares of attention.
  struct Shares: Decodable {
    let stream: UInt64
    let sizes: [Int]
    let holes, vector, budget, sinks, recent, group, headDim: Int
    /// The greatest share of a sentence's means, not its logarithm.
    let likenesses: [Double]
    let selected: [Int]
  }

  static func load() throws -> GoldenPolicies {
    try JSONDecoder().decode(GoldenPolicies.self, from: Data(contentsOf: Golden.url("policies/policies.json")))
  }
}

@Suite struct RetentionGoldenTests {
  @Test func everyPolicyKeepsWhatItsTwinKeeps() throws {
    let golden = try GoldenPolicies.load()
    for lane in golden.lanes {
      let policy = try KVPolicyCatalogue().policy(
        for: KVPolicyRequest(name: lane.name, budget: .slots(lane.budget)),
        facts: KVPolicyFacts(promptTokens: lane.prompt, layers: 4, kvHeads: 2))
      let stream = LaneStream(
        seed: lane.stream, tokens: lane.prompt + lane.decode, headDim: lane.headDim, group: lane.group)
      var model = LaneModel(stream, policy: policy, layer: lane.layer, kvHead: lane.kvHead)
      model.prefill(lane.prompt, stepTokens: 10)
      #expect(model.resident == lane.afterPrompt, "\(lane) after the prompt")
      model.decode(lane.decode)
      #expect(model.resident == lane.atEnd, "\(lane) at the end")
    }
    let covered = Set(golden.lanes.map(\.policy))
    for sample in KVPolicySample.all {
      #expect(covered.contains(sample.key.rawValue), "\(sample) has no golden values")
    }
  }

  @Test func sentencesAreFoundByTheVectorsOfTheTwin() throws {
    for golden in try GoldenPolicies.load().sentences {
      let tokens = golden.sizes.reduce(0, +)
      var generator = GoldenGenerator(seed: golden.stream)
      let keys = (0..<tokens).map { _ in generator.floats(golden.headDim) }
      let queries = (0..<golden.steps).map { _ in generator.floats(golden.group * golden.headDim) }
      let kept = (0..<tokens).filter { golden.holes == 0 || $0 % golden.holes != 0 }
      let buckets = SentenceBuckets(sizes: golden.sizes, kept: kept, keys: keys)
      // The twin leaves out sentences without slots.
      let vectors = buckets.starts.indices.dropLast().filter { buckets.starts[$0] < buckets.starts[$0 + 1] }
        .flatMap { buckets.vectors[$0 * golden.headDim..<($0 + 1) * golden.headDim] }
      #expect(vectors.count == golden.vectors.count)
      for (own, expected) in zip(vectors, golden.vectors) {
        // A mean of up to 64 numbers below 1: 64 roundings of the sum, one of the quotient.
        #expect(abs(own - expected) <= 65 * 0x1p-24, "\(own) is not \(expected)")
      }
      let selection = SentenceSelection(
        budgetSlots: golden.budget,
        floors: RetentionFloors(sinkSlots: golden.sinks, recentSlots: golden.recent))
      for (step, expected) in golden.selected.enumerated() {
        let parts = buckets.parts(query: SentenceBuckets.mean(queries[...step].flatMap { $0 }, headDim: golden.headDim))
        let runs = selection.floors.apply(
          to: selection.selected(in: parts), slots: kept.count, readSlots: golden.budget)
        #expect(runs.flatMap { $0 }.map { kept[$0] } == expected, "stream \(golden.stream), step \(step)")
      }
    }
  }
}

extension RetentionGoldenTests {
  @Test func sentencesOfSeveralVectorsAreFoundByTheirShares() throws {
    for golden in try GoldenPolicies.load().shares {
      let tokens = golden.sizes.reduce(0, +)
      var generator = GoldenGenerator(seed: golden.stream)
      let keys = (0..<tokens).map { _ in generator.floats(golden.headDim).map { 4 * $0 } }
      let queries = (0..<golden.group).map { head in generator.floats(golden.headDim).map { $0 * Float(head + 1) } }
      let kept = (0..<tokens).filter { golden.holes == 0 || $0 % golden.holes != 0 }
      var (cuts, firsts): ([Int], [Int32]) = ([], [])
      for size in golden.sizes {
        firsts.append(Int32(cuts.count))
        for at in stride(from: 0, to: size, by: golden.vector) { cuts.append(min(golden.vector, size - at)) }
      }
      let buckets = SentenceBuckets(sizes: cuts, kept: kept, keys: keys)
      var likenesses = [Float](repeating: -.infinity, count: cuts.count)
      for query in queries {
        let shares = LaneParts.shares(
          products: buckets.parts(query: query).likenesses, starts: buckets.starts,
          scale: 1 / Float(golden.headDim).squareRoot())
        likenesses = zip(likenesses, shares).map { max($0, $1) }
      }
      let parts = LaneParts(slots: kept.count, starts: buckets.starts, likenesses: likenesses, firsts: firsts)
      for (own, expected) in zip(parts.likenesses, golden.likenesses) {
        // Products of at most 100 in steps of 2^-18, a few dozen of them summed: below 1e-3 of the share.
        #expect(abs(exp(Double(own)) - expected) <= 1e-3 * expected, "\(exp(own)) is not \(expected)")
      }
      #expect(parts.likenesses.count == golden.sizes.count)
      let selection = SentenceSelection(
        budgetSlots: golden.budget, floors: RetentionFloors(sinkSlots: golden.sinks, recentSlots: golden.recent))
      let runs = selection.floors.apply(
        to: selection.selected(in: parts), slots: kept.count, readSlots: golden.budget)
      #expect(runs.flatMap { $0 }.map { kept[$0] } == golden.selected, "stream \(golden.stream)")
    }
  }
}

/// Parts of one lane as the engine makes them, in plain code.
struct SentenceBuckets {
  var starts: [Int32] = [0]
  /// The mean of each part's kept keys, `[parts, headDim]`.
  var vectors: [Float] = []
  let slots: Int
  let headDim: Int

  /// - Parameters:
  ///   - sizes: tokens of each sentence.
  ///   - kept: positions of the lane's slots.
  ///   - keys: by position.
  init(sizes: [Int], kept: [Int], keys: [[Float]]) {
    slots = kept.count
    headDim = keys.first?.count ?? 1
    var end = 0
    for size in sizes {
      let members = kept.filter { $0 >= end && $0 < end + size }
      end += size
      starts.append(Int32(kept.filter { $0 < end }.count))
      vectors += Self.mean(members.flatMap { keys[$0] }, headDim: headDim)
    }
  }

  static func mean(_ rows: [Float], headDim: Int) -> [Float] {
    let count = Float(max(1, rows.count / headDim))
    return (0..<headDim).map { place in
      stride(from: place, to: rows.count, by: headDim).reduce(0) { $0 + rows[$1] } / count
    }
  }

  func parts(query: [Float]) -> LaneParts {
    let likenesses = (0..<starts.count - 1).map { part in
      (0..<headDim).reduce(Float(0)) { $0 + query[$1] * vectors[part * headDim + $1] }
    }
    return LaneParts(slots: slots, starts: starts, likenesses: likenesses)
  }
}
