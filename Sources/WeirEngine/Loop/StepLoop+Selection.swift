// Selection (P3) inside the loop: abstracts of what has been said, and the choice of keys before every layer's attention.

import WeirBasics
import WeirKVCache
import WeirKernels
import WeirModels
import WeirScheduling
import WeirText

/// A selection's boundaries, told tokens: special tokens end what they follow.
struct TokenText: TokenBoundaries {
  private let tokenizer: Tokenizer
  private var detokenizer: StreamingDetokenizer
  private var text: any TextBoundaries

  init(_ tokenizer: Tokenizer, _ text: any TextBoundaries) {
    self.tokenizer = tokenizer
    self.text = text
    detokenizer = StreamingDetokenizer(tokenizer: tokenizer, continues: true)
  }

  mutating func begins(with token: TokenID) -> Bool {
    let told = detokenizer.append(token)
    return text.begins(with: tokenizer.isSpecial(token) ? told + "\n\n" : told)
  }
}

/// What choosing needs of one sequence, copied for the time of one layer.
private struct Chooser {
  let reading: LaneReading
  let floors: RetentionFloors
  let counts: [Int32]
  /// Empty unless the lanes are no longer whole.
  let positions: [[Int32]]
  let computed: Int
  let blocks: [UnsafePointer<UInt8>?]

  init?(_ lanes: LaneTable?, blocks: [UnsafePointer<UInt8>?]) {
    guard let lanes, let reading = lanes.currentReading else { return nil }
    self.blocks = blocks
    self.reading = reading
    floors = lanes.policy.floors
    counts = lanes.counts
    positions = lanes.positions
    computed = lanes.computed
  }

  /// The runs of slots that the row reads of a lane, its own key's last.
  func runs(lane: Int, model: DecoderModel, shape: KVShape, thread: Int) -> [Range<Int>] {
    let (slots, selection) = (Int(counts[lane]) + 1, reading.selection)
    let parts =
      selection.abstract == .keys
      ? comparedByKeys(lane: lane, slots: slots, model: model, shape: shape, thread: thread)
      : comparedByAbstracts(lane: lane, slots: slots, model: model)
    return floors.apply(to: selection.selected(in: parts), slots: slots, readSlots: reading.readSlots)
  }

  private func comparedByKeys(
    lane: Int, slots: Int, model: DecoderModel, shape: KVShape, thread: Int
  ) -> LaneParts {
    let starts = reading.starts(lane: lane)
    let keys = model.context.nearness(
      ofKeys: Int(starts.last ?? 0), in: blocks, layer: lane / shape.kvHeads, kvHead: lane % shape.kvHeads,
      shape: shape, to: reading.queries(lane: lane).flatMap { $0 }, scale: model.description.attentionScale,
      softcap: model.description.attentionSoftcap, asShares: reading.selection.sharesHeads,
      thread: thread)
    return LaneParts(slots: slots, starts: starts, keys: keys)
  }

  private func comparedByAbstracts(lane: Int, slots: Int, model: DecoderModel) -> LaneParts {
    let (starts, selection) = (reading.starts(lane: lane), reading.selection)
    let (context, scale) = (model.context, model.description.attentionScale)
    var likenesses: [Float] = []
    for query in reading.queries(lane: lane) {
      var products =
        reading.withAbstracts(of: lane) { abstracts in
          context.products(query, length: reading.abstractLength, abstracts: abstracts, parts: reading.parts)
        } ?? []
      if selection.sharesHeads { products = LaneParts.shares(products: products, starts: starts, scale: scale) }
      if likenesses.isEmpty {
        likenesses = products
      } else {
        for (part, product) in products.enumerated() { likenesses[part] = max(likenesses[part], product) }
      }
    }
    return selection.abstractTokens == nil
      ? LaneParts(slots: slots, starts: starts, likenesses: likenesses)
      : LaneParts(slots: slots, starts: starts, likenesses: likenesses, firsts: reading.firstAbstracts)
  }

  /// Positions of slots of a lane.
  func positions(of slots: [Int32], lane: Int) -> [Int32] {
    guard !positions.isEmpty else { return slots }
    return slots.map { slot in slot < counts[lane] ? positions[lane][Int(slot)] : Int32(computed) }
  }
}

extension StepLoop {
  /// What rows of a policy that selects choose by; nil if they read everything.
  func reading(_ policy: KVPolicy, promptTokens: Int) -> LaneReading? {
    LaneReading(
      selection: policy.selection, boundaries: TokenText(tokenizer, policy.selection.boundaries),
      promptTokens: promptTokens, lanes: pool.shape.layers * pool.shape.kvHeads, headDim: pool.shape.headDim,
      groupHeads: model.description.heads / pool.shape.kvHeads, partGroup: KernelContext.abstractGroup)
  }

  /// Has rows choose what they read where a policy selects; nothing is added where none does.
  func letRowsChoose(_ work: inout StepWork) {
    let choosing = work.parts.indices.filter { work.batch.sequences[$0].choosesKeys }
    guard !choosing.isEmpty else { return }
    let begun = clock.now()
    let sequences = choosing.map { work.parts[$0].sequence }
    let blocks = choosing.map { index in
      work.batch.sequences[index].blocks.map { Optional(UnsafePointer($0.assumingMemoryBound(to: UInt8.self))) }
    }
    for (sequence, blocks) in zip(sequences, blocks) { buildAbstracts(of: sequence, blocks: blocks) }
    meters.countPolicies(questions: 0, seconds: clock.now().seconds(since: begun))
    work.batch.chooser = { [self] layer, query, rows in
      let begun = clock.now()
      defer { meters.countPolicies(questions: 0, seconds: clock.now().seconds(since: begun)) }
      return choices(of: sequences, blocks: blocks, layer: layer, query: query, rows: rows)
    }
  }

  /// Abstracts of the keys of parts that have ended.
  private func buildAbstracts(of sequence: Sequence, blocks: [UnsafePointer<UInt8>?]) {
    let (shape, context, tokens) = (pool.shape, model.context, sequence.tokens)
    _ = sequence.withLanes { lanes in
      let new = lanes.hear(tokens)
      guard !new.isEmpty else { return }
      _ = lanes.withReading { reading in
        let kind = reading.selection.abstract
        if kind == .keys { return }
        let starts = (0..<shape.layers * shape.kvHeads).map { reading.starts(lane: $0) }
        reading.withAbstracts { start, stride in
          context.pool.parallel(tasks: starts.count) { lane, _ in
            for part in new {
              context.abstract(
                kind, of: Int(starts[lane][part])..<Int(starts[lane][part + 1]), in: blocks,
                layer: lane / shape.kvHeads, kvHead: lane % shape.kvHeads, shape: shape, part: part,
                into: start + lane * stride)
            }
          }
        }
      }
    }
  }

  private func choices(
    of sequences: [Sequence], blocks: [[UnsafePointer<UInt8>?]], layer: Int, query: Rows, rows: [Int]
  ) -> [KVChoice?] {
    let kvHeads = pool.shape.kvHeads
    let asked = sequences.map { $0.lanes?.policy.selection.isAsked(inLayer: layer) ?? false }
    for (place, sequence) in sequences.enumerated() where asked[place] {
      let row = query.row(rows[place])
      _ = sequence.withLanes { $0.withReading { $0.add(query: row, layer: layer, kvHeads: kvHeads) } }
    }
    let isWindowed = model.description.layerKinds[layer].window > 0
    let (runs, choices) = chosen(
      by: zip(sequences, blocks).map { Chooser($0.lanes, blocks: $1) }, asked, layer: layer, isWindowed: isWindowed)
    for (place, sequence) in sequences.enumerated() where asked[place] {
      _ = sequence.withLanes { lanes in
        lanes.withReading { reading in
          for head in 0..<kvHeads { reading.note(runs[place * kvHeads + head], lane: layer * kvHeads + head) }
        }
      }
    }
    return choices
  }

  /// Every lane of every sequence by itself, side by side on the worker pool. The choosers must be gone before a reading
  /// is written again, or that copies it.
  private func chosen(
    by choosers: [Chooser?], _ asked: [Bool], layer: Int, isWindowed: Bool
  ) -> (runs: [[Range<Int>]], choices: [KVChoice?]) {
    let (model, shape, kvHeads) = (model, pool.shape, pool.shape.kvHeads)
    var runs = Array(repeating: [Range<Int>](), count: choosers.count * kvHeads)
    var slots = Array(repeating: [Int32](), count: runs.count)
    runs.withUnsafeMutableBufferPointer { runBuffer in
      slots.withUnsafeMutableBufferPointer { slotBuffer in
        let (runs, slots) = (runBuffer, slotBuffer)
        model.context.pool.parallel(tasks: runs.count) { task, thread in
          guard asked[task / kvHeads], let chooser = choosers[task / kvHeads] else { return }
          let lane = layer * kvHeads + task % kvHeads
          runs[task] = chooser.runs(lane: lane, model: model, shape: shape, thread: thread)
          slots[task] = runs[task].flatMap { Int32($0.lowerBound)..<Int32($0.upperBound) }
        }
      }
    }
    let choices = choosers.enumerated().map { place, chooser -> KVChoice? in
      guard asked[place], let chooser else { return nil }
      let own = Array(slots[place * kvHeads..<(place + 1) * kvHeads])
      let positions = own.enumerated().map { head, slots in
        isWindowed ? chooser.positions(of: slots, lane: layer * kvHeads + head) : []
      }
      return KVChoice(slots: own, positions: positions)
    }
    return (runs, choices)
  }
}
