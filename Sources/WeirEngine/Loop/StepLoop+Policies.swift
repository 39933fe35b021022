// KV policies (P3) inside the loop: signals while a step computes, questions after it, compaction of the answer.

import WeirBasics
import WeirKVCache
import WeirKernels
import WeirModels
import WeirScheduling

extension StepLoop {
  /// The policy of a request; nil for the full cache.
  /// - Throws: ``EngineError`` that names `kv_policy`.
  func lanes(for request: GenerationRequest) throws -> LaneTable? {
    guard let wanted = request.kvPolicy ?? configuration.kvPolicy else { return nil }
    guard let policies = configuration.policies else {
      throw EngineError(
        .invalidRequest, message: "kv_policy is \(wanted.name), but this engine was started without KV policies",
        param: "kv_policy")
    }
    let facts = KVPolicyFacts(
      promptTokens: request.policyPromptTokens ?? request.prompt.count, layers: pool.shape.layers,
      kvHeads: pool.shape.kvHeads)
    do {
      let policy = try policies.policy(for: wanted, facts: facts)
      let limit = scheduler.configuration.contextLength
      if let refusal = NumberingRefusal(
        policy: policy, model: model.description, shape: pool.shape,
        tokens: min(limit, request.prompt.count + min(limit, request.maxTokens ?? limit)))
      {
        throw EngineError(
          .invalidRequest, message: "\(wanted.name) numbers slots anew, \(refusal.reason); \(refusal.remedy)",
          param: "kv_policy")
      }
      return LaneTable(
        policy: policy, layers: facts.layers, kvHeads: facts.kvHeads, promptTokens: facts.promptTokens,
        reading: reading(policy, promptTokens: request.prompt.count))
    } catch let error as any WeirError {
      throw EngineError(.invalidRequest, message: error.message, param: "kv_policy")
    }
  }

  /// How a sequence's rows are attended once its lanes are no longer whole.
  func keptLanes(_ sequence: Sequence, rows: Int) -> KVLanes? {
    guard let lanes = sequence.lanes, lanes.isCompacted else { return nil }
    // Only windows look at positions of older slots. Without any the arrays are not handed out, so that appending to
    // them copies nothing.
    let asksPositions = lanes.policy.numbering == .text && model.description.layerKinds.contains { $0.window > 0 }
    return KVLanes(
      older: lanes.counts, positions: asksPositions ? lanes.positions : [], rows: rows,
      firstPosition: lanes.nextPosition)
  }

  /// Has the model tell about attention where a policy wants to know; nothing is added where none does.
  func observeAttention(_ work: inout StepWork) {
    var watched: [(sequence: Sequence, rows: BatchSequence, tallies: [MassTally])] = []
    for (index, part) in work.parts.enumerated() {
      guard let lanes = part.sequence.lanes else { continue }
      let tallies = lanes.tallies(rows: part.rows.count)
      guard !tallies.isEmpty else { continue }
      _ = part.sequence.withLanes { $0.prepare(rows: part.rows.count) }
      watched.append((part.sequence, work.batch.sequences[index], tallies))
    }
    guard !watched.isEmpty else { return }
    let (model, shape) = (model, pool.shape)
    work.batch.observer = { [self] layer, query in
      let begun = clock.now()
      defer { meters.countPolicies(questions: 0, seconds: clock.now().seconds(since: begun)) }
      for one in watched {
        _ = one.sequence.withLanes { lanes in
          lanes.withMasses(layer: layer) { start, stride in
            model.addMass(
              layer: layer, query: query, sequence: one.rows, shape: shape, tallies: one.tallies, into: start,
              tallyStride: stride)
          }
        }
      }
    }
  }

  /// Asks the policies that are due. Who finds no room for the copies of shared blocks is asked again before the next
  /// step.
  func askPolicies() {
    for sequence in scheduler.questionsDue { _ = ask(sequence) }
  }

  /// Before a step: whose question found no room is asked once more, and then gives its blocks back.
  func settlePolicies() {
    for sequence in scheduler.questionsDue where !ask(sequence) {
      scheduler.restart(sequence.id, pool: pool)
      notePreemptions([sequence.id])
    }
  }

  /// False without room.
  private func ask(_ sequence: Sequence) -> Bool {
    let (dropped, begun) = (sequence.lanes?.droppedSlots ?? 0, clock.now())
    let kept = answers(sequence)
    let hadRoom = scheduler.retain(kept, of: sequence.id, pool: pool)
    if hadRoom { turnKeys(of: sequence, kept) }
    meters.countPolicies(questions: hadRoom ? 1 : 0, seconds: clock.now().seconds(since: begun))
    guard hadRoom else { return false }
    meters.countDroppedSlots((sequence.lanes?.droppedSlots ?? dropped) - dropped)
    return true
  }

  /// Turns keys that have moved to where they are now, if slots are what the policy counts.
  private func turnKeys(of sequence: Sequence, _ kept: [SlotSet]) {
    guard sequence.lanes?.policy.numbering == .slots, let table = sequence.table else { return }
    model.turnKeys(
      movedFrom: kept.map { if case .only(let old) = $0 { old } else { [] } },
      in: table.blocks.map { pool.blockPointer($0) }, shape: pool.shape)
  }

  /// What stays in each lane. Policies are pure, so lanes are asked about side by side on the worker pool.
  private func answers(_ sequence: Sequence) -> [SlotSet] {
    guard let lanes = sequence.lanes else { return [] }
    let blocks = (sequence.table?.blocks ?? []).map { UnsafeRawPointer(pool.blockPointer($0)) }
    let (shape, moment, context) = (pool.shape, lanes.dueMoment, model.context)
    let perLayer = lanes.policy.scope == .layer
    let wantsKeys = lanes.policy.signals.contains(.keys)
    var sets = Array(repeating: SlotSet.all, count: lanes.counts.count)
    sets.withUnsafeMutableBufferPointer { buffer in
      let sets = buffer
      context.pool.parallel(tasks: perLayer ? lanes.layers : sets.count) { task, _ in
        let lane = perLayer ? task * lanes.kvHeads : task
        let (layer, head) = (lane / lanes.kvHeads, lane % lanes.kvHeads)
        let view = LaneView(
          sequence: sequence.id, layer: layer, kvHead: head, positions: lanes.positions(lane: lane))
        let keys = (perLayer ? 0..<lanes.kvHeads : head..<head + 1).map { head in
          wantsKeys
            ? context.keys(in: blocks, layer: layer, kvHead: head, count: view.slots, shape: shape) : []
        }
        let told =
          perLayer
          ? lanes.signals(layer: layer, keys: wantsKeys ? Self.joined(keys, slots: view.slots) : nil)
          : lanes.signals(lane: lane, keys: wantsKeys ? keys.first : nil)
        let answer = lanes.policy.retained(in: view, signals: told, moment: moment)
        for index in lane..<lane + (perLayer ? lanes.kvHeads : 1) { sets[index] = answer }
      }
    }
    return sets
  }

  /// Keys of all heads beside each other, `[slots, heads * headDim]`.
  private static func joined(_ heads: [[Float]], slots: Int) -> [Float] {
    guard let first = heads.first, slots > 0 else { return [] }
    let width = first.count / slots
    return (0..<slots).flatMap { slot in heads.flatMap { $0[slot * width..<(slot + 1) * width] } }
  }

  /// What a sequence held and kept.
  func kvUsage(of sequence: Sequence) -> KVUsage {
    var usage = KVUsage(
      policy: nil, minimumSlots: sequence.computed, meanSlots: Double(sequence.computed),
      maximumSlots: sequence.computed, peakBytes: sequence.peakBlocks * pool.shape.blockBytes)
    let (prompt, computed) = (sequence.promptCount, sequence.computed)
    guard let lanes = sequence.lanes else {
      usage.decodeTokens = max(0, computed - prompt)
      // A token at position p reads p + 1 slots of each lane.
      usage.decodeSlots =
        usage.decodeTokens * (prompt + computed + 1) / 2 * (pool.shape.layers * pool.shape.kvHeads)
      return usage
    }
    usage.decodeTokens = lanes.decodeTokens
    usage.decodeSlots = lanes.decodeSlots
    usage.minimumSlots = lanes.shortest
    usage.meanSlots = Double(lanes.totalSlots) / Double(max(1, lanes.counts.count))
    usage.maximumSlots = lanes.longest
    usage.peakBytes += lanes.stateBytes
    usage.questions = lanes.questions
    usage.droppedSlots = lanes.droppedSlots
    if let reading = lanes.currentReading, reading.rows > 0 {
      usage.decodeSlots -= reading.slotsSkipped
      let slotBytes = pool.shape.keyRowBytes + pool.shape.valueRowBytes
      usage.reading = KVReading(
        rows: reading.rows, meanSlots: Double(reading.slotsRead) / Double(max(1, reading.answers)),
        parts: reading.parts, newBytes: (reading.slotsRead - reading.slotsReread) * slotBytes,
        readBytes: reading.slotsRead * slotBytes, stateBytes: reading.stateBytes)
    }
    return usage
  }
}
