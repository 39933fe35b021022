// A model whose lanes kept different slots, through the real pool, against masks in float64 (make_kept.py).

import Foundation
import Testing
import WeirBasics
import WeirKVCache
import WeirKernels
import WeirModelFiles
import WeirModels
import WeirTestSupport

/// What the reference says of one model.
private struct KeptGolden: Decodable {
  struct Lane: Decodable {
    let accumulated: [Float]
    let columnSums: [Float]
    let windowMaximum: [Float]
  }
  struct Model: Decodable {
    let name: String
    /// Per lane the positions of the prompt that stay.
    let kept: [[Int]]
    /// After each later token.
    let logits: [[Float]]
    let massesOfPrompt: [Lane]
    let massesAtEnd: [Lane]
  }
  struct Stream: Decodable {
    let name: String
    /// Positions of the slots at the end.
    let resident: [Int]
    /// After every fifth token, places in the cache being positions; after the last, places in the text being positions.
    let logits: [[Float]]
    let lastByText: [Float]
  }
  struct Streaming: Decodable {
    let budget: Int
    let sinks: Int
    let chunk: Int
    let slack: Int
    let tokens: [UInt32]
    let models: [Stream]
  }
  let later: [UInt32]
  let decay: Float
  let windowRows: Int
  let models: [Model]
  let streaming: Streaming

  static func load() throws -> KeptGolden {
    try JSONDecoder().decode(KeptGolden.self, from: Data(contentsOf: Golden.url("models/kept.json")))
  }
}

private struct Budgets: LayerBudget {
  var slots: [Int]
  let kvHeads: Int
  func budgetSlots(layer: Int, kvHead: Int) -> Int? { slots[layer * kvHeads + kvHead] }
}

/// One sequence in a pool of its own, computed by a model as the engine does.
private final class LaneRun {
  let model: DecoderModel
  let pool: BlockPool
  let workspace: ForwardWorkspace
  var table: BlockTable
  var lanes: LaneTable
  private var tokens: [TokenID] = []

  init(_ model: DecoderModel, _ policy: KVPolicy, prompt: Int, type: KVElementType = .f32) throws {
    self.model = model
    let shape = model.kvShape(blockSlots: 8, keyType: type, valueType: type)
    pool = try BlockPool(configuration: KVPoolConfiguration(shape: shape, blockLimit: 16), clock: ManualClock())
    workspace = ForwardWorkspace(model: model, maxRows: 64)
    table = try #require(pool.open(.unread(promptTokens: prompt, salt: ""), stores: false))
    lanes = try #require(
      LaneTable(policy: policy, layers: shape.layers, kvHeads: shape.kvHeads, promptTokens: prompt))
  }

  /// Logits of the last of some tokens.
  func append(_ new: [TokenID]) -> [Float] {
    let (computed, first) = (lanes.computed, lanes.nextPosition)
    tokens += new
    let hasRoom =
      lanes.isCompacted
      ? pool.reserve(&table, lanes: lanes, rows: new.count) : pool.reserve(&table, slots: computed + new.count)
    #expect(hasRoom)
    let kept =
      lanes.isCompacted
      ? KVLanes(
        older: lanes.counts, positions: lanes.policy.numbering == .text ? lanes.positions : [], rows: new.count,
        firstPosition: first) : nil
    let sequence = BatchSequence(
      blocks: table.blocks.map { pool.blockPointer($0) }, rows: new.indices, firstPosition: first, lanes: kept)
    var batch = ForwardBatch(
      tokens: new, positions: new.indices.map { Int32(first + $0) }, sequences: [sequence], outputRows: [new.count - 1])
    let tallies = lanes.tallies(rows: new.count)
    lanes.prepare(rows: new.count)
    if !tallies.isEmpty {
      batch.observer = { [self] layer, query in
        lanes.withMasses(layer: layer) { start, stride in
          model.addMass(
            layer: layer, query: query, sequence: sequence, shape: pool.shape, tallies: tallies, into: start,
            tallyStride: stride)
        }
      }
    }
    let logits = model.forward(batch, shape: pool.shape, workspace: workspace).copied()[0]
    lanes.advance(rows: new.count)
    if lanes.isCompacted {
      pool.commit(&table, lanes: lanes)
    } else {
      pool.commit(&table, tokens: tokens, filledSlots: lanes.computed)
    }
    return logits
  }

  /// Answers a question that is due with the first slots and the last ones.
  func keepEnds(sinks: Int, budget: Int) {
    guard lanes.isQuestionDue else { return }
    let slots = lanes.longest
    let kept = slots > budget ? Array(0..<sinks) + Array(slots - budget + sinks..<slots) : Array(0..<slots)
    let count = lanes.counts.count
    #expect(pool.compact(&table, lanes: &lanes, keeping: Array(repeating: .only(kept), count: count)))
    guard lanes.policy.numbering == .slots else { return }
    model.turnKeys(
      movedFrom: Array(repeating: kept, count: count), in: table.blocks.map { pool.blockPointer($0) },
      shape: pool.shape)
  }

  func append(_ new: [TokenID], chunk: Int) -> [[Float]] {
    stride(from: 0, to: new.count, by: chunk).map { append(Array(new[$0..<min($0 + chunk, new.count)])) }
  }
}

@Suite struct KeptLaneTests {
  static let context = KernelContext(pool: WorkerPool(threads: 2))
  private let golden: KeptGolden
  private var signals: [KVSignal] {
    [
      .accumulatedMass(decay: golden.decay), .columnSums,
      .windowRows(rows: golden.windowRows, reduction: .maximum),
    ]
  }

  init() throws { golden = try KeptGolden.load() }

  private func model(_ name: String) throws -> DecoderModel {
    try DecoderModel(source: try GoldenModel.named(name).openFolder(), context: Self.context)
  }

  @Test(arguments: ["llama", "mistral"], [1, 7, 30])
  func attentionReadsWhatEachLaneKept(name: String, chunk: Int) throws {
    let entry = try GoldenModel.named(name)
    let expected = try #require(golden.models.first { $0.name == name })
    let model = try model(name)
    let policy = KVPolicy(
      budget: Budgets(slots: expected.kept.map(\.count), kvHeads: model.description.kvHeads), signals: Set(signals),
      cadence: RetentionCadence(chunkTokens: nil, slackSlots: golden.later.count - 1))
    let run = try LaneRun(model, policy, prompt: entry.prompt.count)
    let ofPrompt = run.append(entry.prompt, chunk: chunk)
    #expect(ofPrompt.suffix(1).distance([entry.logits[entry.logits.count - 1]]) < entry.tolerance)
    #expect(run.lanes.isQuestionDue && run.lanes.dueMoment == .prefillDone)
    compare(run.lanes, expected.massesOfPrompt)
    #expect(run.pool.compact(&run.table, lanes: &run.lanes, keeping: expected.kept.map(SlotSet.only)))
    // 30 of 40 slots go with the prompt's last lanes: the longest lane says what stays.
    #expect(run.pool.totalBlocks - run.pool.freeBlocks == run.pool.shape.blockCount(tokens: run.lanes.longest))
    let logits = run.append(golden.later.map { TokenID($0) }, chunk: 1)
    #expect(logits.distance(expected.logits) < entry.tolerance + 1e-6, "\(logits.distance(expected.logits))")
    #expect(run.lanes.isQuestionDue && run.lanes.dueMoment == .stepDone)
    compare(run.lanes, expected.massesAtEnd)
  }

  private func compare(_ lanes: LaneTable, _ expected: [KeptGolden.Lane]) {
    for (lane, masses) in expected.enumerated() {
      let told = lanes.signals(lane: lane, keys: nil)
      for (signal, numbers) in zip(signals, [masses.accumulated, masses.columnSums, masses.windowMaximum]) {
        let found = told[signal] ?? []
        // Probabilities of at most 1, of up to 36 rows.
        #expect([found].distance([numbers]) < 2e-5, "lane \(lane), \(signal): \([found].distance([numbers]))")
      }
    }
  }

  /// StreamingLLM, 90 tokens in 12 slots: keys that are turned whenever they move are those that the reference rotates anew
  /// at every step. `interleaved` is the same model with pairs of neighbours, as GGUF files hold it.
  @Test(arguments: ["llama", "mistral", "interleaved"]) func turnedKeysAreThoseOfTheirPlaces(name: String) throws {
    let stream = golden.streaming
    let entry = try GoldenModel.named(name == "interleaved" ? "llama" : name)
    let expected = try #require(stream.models.first { $0.name == entry.name })
    let model = try DecoderModel(
      source: name == "interleaved" ? try entry.openGGUF() : try entry.openFolder(), context: Self.context)
    func run(_ numbering: SlotNumbering, _ type: KVElementType) throws -> [[Float]] {
      let lanes = model.description.layers * model.description.kvHeads
      let policy = KVPolicy(
        budget: Budgets(
          slots: Array(repeating: stream.budget, count: lanes), kvHeads: model.description.kvHeads),
        cadence: RetentionCadence(chunkTokens: stream.chunk, slackSlots: stream.slack), numbering: numbering)
      let run = try LaneRun(model, policy, prompt: entry.prompt.count, type: type)
      var left = entry.prompt[...]
      while !left.isEmpty {
        let rows = left.prefix(run.lanes.rowsUntilQuestion)
        _ = run.append(Array(rows))
        left = left.dropFirst(rows.count)
        run.keepEnds(sinks: stream.sinks, budget: stream.budget)
      }
      let logits = stream.tokens.map { token in
        let row = run.append([TokenID(token)])
        run.keepEnds(sinks: stream.sinks, budget: stream.budget)
        return row
      }
      #expect(run.lanes.positions(lane: 0) == expected.resident)
      return logits
    }
    let found = try run(.slots, .f32)
    let every = stride(from: 4, to: found.count, by: 5).map { found[$0] }
    // As for the plain model, with a few more roundings of keys.
    let distance = every.distance(expected.logits)
    #expect(distance < 2 * entry.tolerance + 1e-6, "\(distance)")
    let byText = try run(.text, .f32)
    #expect(byText.suffix(1).distance([expected.lastByText]) < entry.tolerance + 1e-6)
    // A window of nine slots reaches back over no gap.
    #expect(name == "mistral" || byText.suffix(1).distance(found.suffix(1)) > 1)
    // In f16 a key is rounded once more for each of at most three turns, as often up as down: 1.2 times as far from f32 as
    // without turns, where this was measured.
    let (turned, plain) = (try run(.slots, .f16).distance(found), try run(.text, .f16).distance(byText))
    #expect(plain > 0 && turned < 2 * plain, "f16: \(turned) with turns, \(plain) without")
  }

  /// Compaction that drops nothing changes no bit of what follows, sliding windows included.
  @Test(arguments: ["llama", "mistral", "gemma2", "qwen3-moe"])
  func keepingEverythingChangesNothing(name: String) throws {
    let prompt = try GoldenModel.named(name).prompt
    let later = golden.later.map { TokenID($0) }
    let model = try model(name)
    let policy = KVPolicy(cadence: RetentionCadence(chunkTokens: nil, slackSlots: 0, asksWithinBudget: true))
    let plain = try LaneRun(model, policy, prompt: prompt.count)
    let expected = plain.append(prompt, chunk: 30) + plain.append(later, chunk: 1)
    let kept = try LaneRun(model, policy, prompt: prompt.count)
    let lanes = kept.lanes.counts.count
    var found = kept.append(prompt, chunk: 30)
    for token in later {
      #expect(kept.pool.compact(&kept.table, lanes: &kept.lanes, keeping: Array(repeating: .all, count: lanes)))
      #expect(kept.lanes.isCompacted)
      found += kept.append([token], chunk: 1)
    }
    #expect(found == expected)
  }
}
