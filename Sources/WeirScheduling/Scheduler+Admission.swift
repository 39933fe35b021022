// Letting waiting sequences in: prefix reuse, waiting for a prefix in flight, room.

import WeirBasics
import WeirKVCache

extension Scheduler {
  mutating func planAdmissions(into plan: inout StepPlan, budget: inout Int, pool: BlockPool) {
    var index = 0
    var places = configuration.runningLimit - placesTaken - expectedArrivals
    var placeless = min(placelessWaiting, configuration.runningLimit - (running.count - placesTaken))
    while index < waiting.count, budget > 0, places > 0 || placeless > 0 {
      let (key, sequence) = waiting[index]
      guard sequence.takesPlace ? places > 0 : placeless > 0 else {
        index += 1
        continue
      }
      // What was preempted in this step must not take the blocks back in the same step.
      if plan.preempted.contains(sequence.id) { return }
      let match = findPrefix(sequence, pool: pool)
      if waitsForPrefix(sequence, matched: match.tokens, blockSlots: pool.shape.blockSlots) {
        index += 1
        continue
      }
      // Strict order: when the first in line does not fit, those behind it wait as well, or it would starve.
      guard hasRoom(for: sequence, matchedBlocks: match.blocks.count, pool: pool),
        let table = pool.open(
          match, stores: sequence.storesCache, priority: sequence.priority, keepsBlocks: sequence.reservesPrompt)
      else { return }
      removeWaiting(at: index)
      if sequence.takesPlace { places -= 1 } else { placeless -= 1 }
      sequence.table = table
      sequence.computed = table.filledSlots
      sequence.lanes?.begin(cachedTokens: table.filledSlots)
      sequence.state = .running
      insert((key, sequence), into: &running)
      if !sequence.wasAdmitted {
        sequence.wasAdmitted = true
        sequence.cachedTokens = table.filledSlots
        sequence.explanation = match.explanation
        plan.admitted.append(sequence.id)
      }
      let rows = min(sequence.stepRows, budget)
      if schedule(sequence, rows: rows, into: &plan, pool: pool, mayPreempt: false) {
        budget -= rows
      } else {
        return
      }
    }
  }

  private func findPrefix(_ sequence: Sequence, pool: BlockPool) -> PrefixMatch {
    guard sequence.readsCache else { return .unread(promptTokens: sequence.tokens.count, salt: sequence.salt) }
    return pool.match(sequence.tokens, salt: sequence.salt, limit: sequence.reusableTokens)
  }

  /// Whether all pending tokens fit now. Running sequences keep one growth block each as a reserve, so that letting
  /// somebody in does not preempt somebody else a few tokens later.
  private func hasRoom(for sequence: Sequence, matchedBlocks: Int, pool: BlockPool) -> Bool {
    // A KV policy copies what it keeps of shared blocks, so those save it nothing.
    let saved = sequence.lanes == nil ? matchedBlocks : 0
    let needed = pool.shape.blockCount(tokens: sequence.peakSlots) - saved
    let reserve = running.isEmpty ? 0 : running.count
    // Where nothing runs and nothing is kept for another node either, waiting would not help.
    return pool.availableBlocks - matchedBlocks >= needed + reserve || (running.isEmpty && pool.openTables == 0)
  }

  /// Whether a running prefill is about to publish a longer prefix of this prompt than the tree holds: then waiting a
  /// few steps computes the shared part once instead of once per client.
  private func waitsForPrefix(_ sequence: Sequence, matched: Int, blockSlots: Int) -> Bool {
    guard sequence.readsCache else { return false }
    if let wait = sequence.prefixWait {
      if let other = self.sequence(wait.sequence), other.state == .running, other.computed < wait.tokens { return true }
      sequence.prefixWait = nil
    }
    var best = matched
    for (_, other) in running
    where other.storesCache && other.salt == sequence.salt && other.computed < other.promptCount {
      let common = commonPrefix(sequence.tokens, other.tokens, limit: other.promptCount)
      let reusable = min(common, sequence.reusableTokens) / blockSlots * blockSlots
      // What `other` has already published is in `matched`; only what it will still compute is worth waiting for.
      if reusable > best, other.computed < reusable {
        best = reusable
        sequence.prefixWait = (other.id, reusable)
      }
    }
    return sequence.prefixWait != nil
  }

  private func commonPrefix(_ a: [TokenID], _ b: [TokenID], limit: Int) -> Int {
    let end = min(a.count, b.count, limit)
    var index = 0
    while index < end && a[index] == b[index] { index += 1 }
    return index
  }
}
