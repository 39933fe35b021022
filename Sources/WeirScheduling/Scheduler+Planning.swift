// The plan of one step: decode rows first, then prefill chunks, then admissions.

import WeirBasics
public import WeirKVCache

extension Scheduler {
  /// Plans the next step and reserves the slots it writes.
  ///
  /// An empty plan with waiting sequences means that nothing can run now; with an empty pool that cannot happen,
  /// because `submit` refuses what could never fit.
  public mutating func nextStep(pool: BlockPool) -> StepPlan {
    var plan = StepPlan()
    planDecodes(into: &plan, pool: pool)
    let decodeRows = plan.rowCount
    let facts = StepFacts(
      decodingSequences: decodeRows, prefillingSequences: running.count - decodeRows, waitingSequences: waiting.count)
    var budget = min(
      max(1, shape.prefillTokens(facts, configuration: configuration)), configuration.stepTokens - decodeRows)
    planPrefills(into: &plan, budget: &budget, pool: pool)
    planAdmissions(into: &plan, budget: &budget, pool: pool)
    return plan
  }

  private mutating func planDecodes(into plan: inout StepPlan, pool: BlockPool) {
    // A copy of the order: preempting the last one changes `running` while we walk it.
    for (_, sequence) in running where sequence.isDecoding {
      guard plan.entries.count < configuration.stepTokens else { return }
      // Not if preempted by an earlier one in this loop, or waiting for its KV policy.
      guard sequence.state == .running, sequence.stepRows > 0 else { continue }
      schedule(sequence, rows: 1, into: &plan, pool: pool, mayPreempt: true)
    }
  }

  private mutating func planPrefills(into plan: inout StepPlan, budget: inout Int, pool: BlockPool) {
    for (_, sequence) in running where !sequence.isDecoding {
      guard budget > 0 else { return }
      let rows = min(sequence.stepRows, budget)
      guard sequence.state == .running, rows > 0 else { continue }
      if schedule(sequence, rows: rows, into: &plan, pool: pool, mayPreempt: true) { budget -= rows }
    }
  }

  /// Reserves room for `rows` more tokens and adds them to the plan; preempts from the end of the order if it must.
  @discardableResult
  mutating func schedule(
    _ sequence: Sequence, rows: Int, into plan: inout StepPlan, pool: BlockPool, mayPreempt: Bool
  ) -> Bool {
    while !reserve(sequence, rows: rows, pool: pool) {
      guard mayPreempt, let victim = running.last?.sequence else { return false }
      preempt(victim, plan: &plan, pool: pool)
      if victim === sequence { return false }
    }
    let first = sequence.computed
    plan.entries.append(
      StepPlan.Entry(
        sequence: sequence.id, tokens: first..<(first + rows),
        completesTokens: first + rows == sequence.tokens.count))
    return true
  }

  private func reserve(_ sequence: Sequence, rows: Int, pool: BlockPool) -> Bool {
    guard var table = sequence.table else { return false }
    sequence.table = nil
    defer { sequence.table = table }
    // These also copy the blocks of written slots if a sibling or the prefix tree shares them.
    let hasRoom =
      if let lanes = sequence.lanes, lanes.isCompacted {
        pool.reserve(&table, lanes: lanes, rows: rows)
      } else {
        pool.reserve(
          &table, slots: max(sequence.computed + rows, sequence.reservesPrompt ? sequence.promptCount : 0),
          growthBlocks: configuration.growthBlocks)
      }
    sequence.peakBlocks = max(sequence.peakBlocks, table.blocks.count)
    return hasRoom
  }

  /// Takes the blocks of a running sequence away.
  private mutating func preempt(_ victim: Sequence, plan: inout StepPlan, pool: BlockPool) {
    plan.entries.removeAll { $0.sequence == victim.id }
    plan.admitted.removeAll { $0 == victim.id }
    yieldBlocks(of: victim, pool: pool)
    plan.preempted.append(victim.id)
  }
}
