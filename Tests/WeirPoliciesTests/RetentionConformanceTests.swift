// Laws that every KV policy of the catalogue keeps, on lanes that read and decode as in the engine.

import Testing
import WeirBasics
import WeirKVCache
import WeirPolicies

@Suite struct RetentionConformanceTests {
  @Test func everyPolicyOfTheCatalogueIsCovered() {
    // sentencekv evicts nothing; its laws are in SentenceTests and, run by the engine, in SelectionTests and
    // LaneHandoffTests.
    #expect(Set(KVPolicySample.all.map(\.key)).union([.sentencekv]) == Set(KVPolicyKey.allCases))
  }

  /// A stream, a budget and a cadence drawn from a seed.
  private struct Draw: CustomStringConvertible {
    let seed: UInt64
    let stream: LaneStream
    let prompt, decode, budget, chunk, slack, sinks, recent: Int

    var cadence: String { "sinks=\(sinks),recent=\(recent),chunk=\(chunk),slack=\(slack)" }
    var description: String { "seed \(seed): prompt \(prompt), budget \(budget), \(cadence)" }

    init(seed: UInt64) {
      var generator = SeededGenerator(seed: seed)
      func pick(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(generator.next() % UInt64(range.count))
      }
      self.seed = seed
      prompt = pick(1...120)
      decode = pick(0...40)
      budget = pick(8...60)
      chunk = pick(1...50)
      slack = pick(0...12)
      sinks = pick(0...3)
      recent = pick(0...4)
      stream = LaneStream(
        seed: generator.next(), tokens: prompt + decode, headDim: pick(1...8), group: pick(1...3))
    }

    func run(
      _ sample: KVPolicySample, budget: Int? = nil, cadence: String? = nil, stepTokens: Int = 16
    ) throws -> LaneModel {
      let policy = try sample.policy(
        budget: .slots(budget ?? self.budget), cadence: cadence ?? self.cadence, prompt: prompt)
      var model = LaneModel(stream, policy: policy)
      model.prefill(prompt, stepTokens: stepTokens)
      model.decode(decode)
      return model
    }
  }

  @Test(arguments: KVPolicySample.all) func budgetCapAndFloorsHold(sample: KVPolicySample) throws {
    for seed in 1...14 as ClosedRange<UInt64> {
      let draw = Draw(seed: seed)
      let model = try draw.run(sample)
      guard sample.key != .full else {
        #expect(model.resident == Array(0..<(draw.prompt + draw.decode)), "\(draw)")
        continue
      }
      let cap = draw.budget + max(draw.chunk, draw.slack + 1)
      #expect(model.peakSlots <= cap, "\(draw): \(model.peakSlots) slots at once")
      for cut in model.cuts {
        let most = min(cut.before.count, draw.budget)
        let least = cut.before.count <= draw.budget ? most : most - sample.pageSlots + 1
        #expect(
          (least...most).contains(cut.after.count), "\(draw), \(cut.moment): the budget, but for a part of a page")
        #expect(cut.after == cut.after.sorted() && Set(cut.after).isSubset(of: cut.before), "\(draw)")
        #expect(cut.after.prefix(draw.sinks) == cut.before.prefix(draw.sinks), "\(draw), \(cut.moment): sinks")
        #expect(cut.after.suffix(draw.recent) == cut.before.suffix(draw.recent), "\(draw), \(cut.moment): recent slots")
      }
    }
  }

  @Test(arguments: KVPolicySample.all) func anAmpleBudgetKeepsEverything(sample: KVPolicySample) throws {
    for seed in 1...6 as ClosedRange<UInt64> {
      let draw = Draw(seed: seed)
      let model = try draw.run(sample, budget: max(8, draw.prompt + draw.decode))
      #expect(model.resident == Array(0..<(draw.prompt + draw.decode)), "\(draw)")
      #expect(model.policy.retained(in: model.view, signals: LaneSignals(), moment: .stepDone) == .all, "\(draw)")
    }
  }

  @Test(arguments: KVPolicySample.all) func stepsOfTheEngineChangeNothing(sample: KVPolicySample) throws {
    for seed in 1...5 as ClosedRange<UInt64> {
      let draw = Draw(seed: seed)
      let first = try draw.run(sample, stepTokens: 1)
      let second = try draw.run(sample, stepTokens: 1000)
      #expect(first.cuts == second.cuts && first.resident == second.resident, "\(draw)")
    }
  }

  @Test(arguments: KVPolicySample.all) func policiesOfPositionsDoNotDependOnChunks(sample: KVPolicySample) throws {
    guard sample.isChunkInvariant else { return }
    for seed in 1...7 as ClosedRange<UInt64> {
      let draw = Draw(seed: seed)
      let floors = "sinks=\(draw.sinks),recent=\(draw.recent),slack=0"
      let whole = try draw.run(sample, cadence: floors + ",chunk=end")
      for chunk in [1, 7, draw.chunk] {
        let cut = try draw.run(sample, cadence: floors + ",chunk=\(chunk)")
        #expect(cut.resident == whole.resident, "\(draw), chunk \(chunk)")
      }
    }
  }

  /// Equal signals everywhere: what stays are the lower positions beside the recent slots. Policies of positions have no
  /// ties, and the window of snapkv is longer than the floor.
  @Test(arguments: [KVPolicyKey.tova, .keydiff, .h2o, .snapkv]) func tiesGoToTheLowerPosition(key: KVPolicyKey) throws {
    let parameters = key == .snapkv ? "window=4" : key == .h2o ? "recent_share=0" : ""
    let policy = try KVPolicySample(key: key, parameters: parameters)
      .policy(budget: .slots(10), cadence: "sinks=2,recent=4")
    let lane = LaneView(sequence: SequenceID(rawValue: 1), layer: 0, kvHead: 0, positions: (0..<30).map { $0 * 3 })
    for value in [Float(0.25), 0, .nan] {
      var values: [KVSignal: [Float]] = [:]
      for signal in policy.signals { values[signal] = [Float](repeating: value, count: signal == .keys ? 60 : 30) }
      for moment in RetentionMoment.allCases {
        let kept = policy.retained(in: lane, signals: LaneSignals(values), moment: moment)
        #expect(kept == .only([0, 1, 2, 3, 4, 5, 26, 27, 28, 29]), "\(key), all \(value), \(moment)")
      }
    }
  }

  /// Pages of heavy slots against their definition: no page is cut but by a floor, what stays has the largest sums of all
  /// that would have fitted in its place, and pages of one position are slots.
  @Test(arguments: 1...60 as ClosedRange<UInt64>) func pagesStayOrGoWhole(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(generator.next() % UInt64(range.count)) }
    let (page, budget) = (pick(1...16), pick(24...80))
    let (sinks, recent, share) = (pick(0...6), pick(0...10), Double(pick(0...2)) / 4)
    // Whole pages, some gone, and a newest one that is still being filled.
    var positions: [Position] = []
    for index in 0..<pick(8...20) where index == 0 || pick(0...3) > 0 {
      positions += Array(index * page..<(index + 1) * page)
    }
    positions += Array(20 * page..<20 * page + pick(1...page))
    let mass = positions.map { _ in Float(pick(0...9)) }
    func kept(_ pages: String) throws -> Set<Int> {
      let policy = try KVPolicySample(key: .h2o, parameters: "recent_share=\(share)\(pages)")
        .policy(budget: .slots(budget), cadence: "sinks=\(sinks),recent=\(recent)")
      let lane = LaneView(sequence: SequenceID(rawValue: 1), layer: 0, kvHead: 0, positions: positions)
      return Set(
        policy.retained(in: lane, signals: LaneSignals([.accumulatedMass(decay: 1): mass]), moment: .stepDone)
          .indices(slots: positions.count))
    }
    let own = try kept(",page=\(page)")
    if page == 1 { #expect(try own == kept(""), "seed \(seed): pages of one are slots") }
    guard positions.count > budget else {
      #expect(own.count == positions.count, "seed \(seed)")
      return
    }
    let floors = Set(0..<sinks).union(positions.count - recent..<positions.count)
    #expect(
      own.isSuperset(of: floors) && own.count <= budget && own.count > budget - page, "seed \(seed): \(own.count)")
    var (least, most): (Float, Float) = (.infinity, -.infinity)
    let protected = Set((positions.count - max(recent, Int(Double(budget) * share), page)..<positions.count))
    for (number, members) in Dictionary(grouping: positions.indices, by: { positions[$0] / page }) {
      let staying = members.filter(own.contains)
      let isCut = !staying.isEmpty && staying.count < members.count
      #expect(!isCut || Set(staying).isSubset(of: floors), "seed \(seed): page \(number) is cut")
      // Ranked pages alone: whole ones that no floor, recent share or newest page holds.
      guard members.count == page, floors.isDisjoint(with: members), protected.isDisjoint(with: members) else {
        continue
      }
      let sum = members.reduce(0) { $0 + mass[$1] }
      if staying.isEmpty { most = max(most, sum) } else { least = min(least, sum) }
    }
    #expect(least >= most, "seed \(seed): a page of \(most) went, one of \(least) stayed")
  }

  /// The answer belongs to the values, not to where they stand: mirrored scores keep mirrored slots.
  @Test(arguments: [KVPolicyKey.tova, .h2o, .keydiff]) func orderOfTheMiddleDoesNotMatter(key: KVPolicyKey) throws {
    let parameters = key == .h2o ? "recent_share=0" : ""
    let policy = try KVPolicySample(key: key, parameters: parameters)
      .policy(budget: .slots(10), cadence: "sinks=0,recent=0")
    let lane = LaneView(sequence: SequenceID(rawValue: 1), layer: 0, kvHead: 0, positions: Array(0..<40))
    for seed in 1...6 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let width = key == .keydiff ? 5 : 1
      let rows = (0..<40).map { _ in (0..<width).map { _ in Float(generator.normalDouble()) } }
      func kept(_ rows: [[Float]]) -> [Int] {
        let values = Dictionary(uniqueKeysWithValues: policy.signals.map { ($0, rows.flatMap { $0 }) })
        return policy.retained(in: lane, signals: LaneSignals(values), moment: .prefillDone).indices(slots: 40)
      }
      #expect(kept(rows) == kept(rows.reversed()).map { 39 - $0 }.sorted(), "seed \(seed)")
    }
  }

  /// Each attention policy holds more of what it ranks by than lots do at the same budget: the newest row, the window, all
  /// rows. Recall on a real model is measured by `weir bench policies`.
  @Test(arguments: [
    (KVPolicySample(key: .tova), 149), (KVPolicySample(key: .snapkv, parameters: "window=4,kernel=1"), 146),
    (KVPolicySample(key: .h2o, parameters: "recent_share=0"), 0),
  ]) func attentionPoliciesHoldMoreMassThanLots(sample: KVPolicySample, firstRow: Int) throws {
    for seed in 1...6 as ClosedRange<UInt64> {
      let stream = LaneStream(seed: seed, tokens: 150)
      func mass(_ sample: KVPolicySample) throws -> Double {
        let policy = try sample.policy(budget: .slots(24), cadence: "sinks=0,recent=1,chunk=end", prompt: 150)
        var model = LaneModel(stream, policy: policy)
        model.prefill(150, stepTokens: 64)
        return Self.massKept(stream, resident: model.resident, rows: firstRow..<150)
      }
      let lots = try mass(KVPolicySample(key: .random, parameters: "seed=\(seed)"))
      let own = try mass(sample)
      #expect(own > lots, "\(sample), seed \(seed): \(own) of the attention, lots have \(lots)")
    }
  }

  /// Share of the full attention of some rows that lies on the resident slots.
  private static func massKept(_ stream: LaneStream, resident: [Position], rows: Range<Int>) -> Double {
    let kept = Set(resident)
    var share = 0.0
    for row in rows {
      for head in 0..<stream.group {
        let query = stream.queries[row][(head * stream.headDim)..<((head + 1) * stream.headDim)]
        let weights = (0...row).map { slot in
          exponential(
            zip(query, stream.keys[slot]).reduce(0) { $0 + Double($1.0) * Double($1.1) }
              / Double(stream.headDim).squareRoot())
        }
        let whole = weights.reduce(0, +)
        let here = weights.indices.filter { kept.contains($0) }.reduce(0) { $0 + weights[$1] }
        share += here / whole / Double(rows.count * stream.group)
      }
    }
    return share
  }
}
