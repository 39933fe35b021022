// One KV head of one layer that reads a prompt and decodes under a policy, as the engine does it: slots that were evicted
// are gone, signals know the resident ones only, and sums move with their slots.

import WeirBasics
import WeirKVCache

/// Uniform in [-1, 1), exact in f32: the generator of make_policies.py.
struct GoldenGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) * 0x1p-23 - 1
    }
  }
}

/// Keys and queries of a sequence, in place of a model.
struct LaneStream {
  let headDim: Int
  let group: Int
  /// `[tokens][headDim]`.
  let keys: [[Float]]
  /// `[tokens][group * headDim]`.
  let queries: [[Float]]

  init(seed: UInt64, tokens: Int, headDim: Int = 8, group: Int = 2) {
    var generator = GoldenGenerator(seed: seed)
    self.headDim = headDim
    self.group = group
    keys = (0..<tokens).map { _ in generator.floats(headDim) }
    queries = (0..<tokens).map { _ in generator.floats(group * headDim).map { $0 * 4 } }
  }
}

/// What happened when a policy was asked.
struct LaneCut: Equatable {
  let moment: RetentionMoment
  let before: [Position]
  let after: [Position]
}

/// A lane under a policy.
struct LaneModel {
  let stream: LaneStream
  let policy: KVPolicy
  let layer: Int
  let kvHead: Int
  private(set) var resident: [Position] = []
  private(set) var cuts: [LaneCut] = []
  /// Most slots held at once.
  private(set) var peakSlots = 0
  private var mass: [Float] = []
  /// Attention of the rows since the policy was asked last: `[rows][slots]`, rows shorter than the lane end early.
  private var rows: [[Float]] = []
  private var end = 0

  init(_ stream: LaneStream, policy: KVPolicy, layer: Int = 3, kvHead: Int = 1) {
    self.stream = stream
    self.policy = policy
    self.layer = layer
    self.kvHead = kvHead
  }

  var view: LaneView {
    LaneView(sequence: SequenceID(rawValue: 1), layer: layer, kvHead: kvHead, positions: resident)
  }

  /// Reads a prompt, `stepTokens` at a time; the policy is asked where its cadence says, whatever the steps.
  mutating func prefill(_ tokens: Int, stepTokens: Int) {
    var left = tokens
    while left > 0 {
      let toCut = policy.cadence.chunkTokens.map { $0 - end % $0 } ?? left
      let count = min(left, stepTokens, toCut)
      for _ in 0..<count { read() }
      left -= count
      if left == 0 {
        ask(.prefillDone)
      } else if let chunk = policy.cadence.chunkTokens, end % chunk == 0 {
        ask(.prefillChunkDone)
      }
    }
  }

  /// Decodes one token after the other.
  mutating func decode(_ tokens: Int) {
    for _ in 0..<tokens {
      read()
      guard let budget = policy.budget.budgetSlots(layer: layer, kvHead: kvHead) else { continue }
      if resident.count > budget + policy.cadence.slackSlots { ask(.stepDone) }
    }
  }

  /// One token: it sees what is resident and itself.
  private mutating func read() {
    resident.append(end)
    mass.append(0)
    peakSlots = max(peakSlots, resident.count)
    let row = attention(of: end)
    let decay = policy.signals.lazy.compactMap { signal -> Float? in
      if case .accumulatedMass(let decay) = signal { decay } else { nil }
    }.first
    if let decay { for slot in mass.indices { mass[slot] = mass[slot] * decay + row[slot] } }
    rows.append(row)
    end += 1
  }

  /// Softmax of one row over the resident slots, the mean of the group's heads.
  private func attention(of position: Position) -> [Float] {
    var mean = [Double](repeating: 0, count: resident.count)
    let scale = 1 / Double(stream.headDim).squareRoot()
    for head in 0..<stream.group {
      let query = stream.queries[position][(head * stream.headDim)..<((head + 1) * stream.headDim)]
      let weights = resident.map { slot -> Double in
        zip(query, stream.keys[slot]).reduce(0) { $0 + Double($1.0) * Double($1.1) } * scale
      }.map { exponential($0) }
      let sum = weights.reduce(0, +)
      for slot in mean.indices { mean[slot] += weights[slot] / sum / Double(stream.group) }
    }
    return mean.map { Float($0) }
  }

  private mutating func ask(_ moment: RetentionMoment) {
    let before = resident
    let kept = policy.retained(in: view, signals: signals(), moment: moment).indices(slots: resident.count)
    mass = kept.map { mass[$0] }
    resident = kept.map { resident[$0] }
    rows = []
    cuts.append(LaneCut(moment: moment, before: before, after: resident))
  }

  /// What the policy declared, and nothing else.
  private func signals() -> LaneSignals {
    func reduced(_ rows: ArraySlice<[Float]>, _ reduction: SignalReduction) -> [Float] {
      resident.indices.map { slot in
        let values = rows.compactMap { $0.indices.contains(slot) ? $0[slot] : nil }
        switch reduction {
        case .maximum: return values.max() ?? 0
        case .sum: return values.reduce(0, +)
        case .mean: return values.reduce(0, +) / Float(max(1, rows.count))
        }
      }
    }
    var values: [KVSignal: [Float]] = [:]
    for signal in policy.signals {
      values[signal] =
        switch signal {
        case .keys: resident.flatMap { stream.keys[$0] }
        case .lastRow: reduced(rows.suffix(1), .sum)
        case .windowRows(let count, let reduction): reduced(rows.suffix(count), reduction)
        case .columnSums: reduced(rows[...], .sum)
        case .accumulatedMass: mass
        }
    }
    return LaneSignals(values)
  }
}
