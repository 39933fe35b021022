// From a plan to the rows the model computes.

import WeirBasics
import WeirKVCache
import WeirModels
import WeirScheduling

/// The work of one step: the batch, and what its logits rows are for.
struct StepWork {
  /// The rows of one sequence in this step.
  struct Part {
    let request: LiveRequest
    let sequence: Sequence
    /// Batch rows.
    let rows: Range<Int>
    /// Token indices.
    let tokens: Range<Int>
    /// Rows of logits that predict prompt tokens (prompt log-probabilities), as a range of output rows.
    let promptOutputs: Range<Int>
    /// The output row to sample from: of all answers after the prompt, later of the sequence's own.
    let sampleOutput: Int?
  }

  var batch = ForwardBatch()
  var parts: [Part] = []
}

extension StepLoop {
  func makeWork(_ plan: StepPlan) -> StepWork {
    var work = StepWork()
    for entry in plan.entries {
      guard let owner = owners[entry.sequence], let sequence = scheduler.sequence(entry.sequence) else {
        preconditionFailure("the plan names sequence \(entry.sequence), which nobody owns")
      }
      append(entry, of: owner.request, sequence, to: &work)
    }
    groupSharedPrefixes(&work)
    return work
  }

  private func append(_ entry: StepPlan.Entry, of request: LiveRequest, _ sequence: Sequence, to work: inout StepWork) {
    let rows = work.batch.tokens.count..<(work.batch.tokens.count + entry.tokens.count)
    work.batch.tokens += sequence.tokens[entry.tokens]
    let first = sequence.lanes?.nextPosition ?? entry.tokens.lowerBound
    work.batch.positions += (first..<first + entry.tokens.count).map(Int32.init)
    var rowsOfSequence = BatchSequence(
      blocks: (sequence.table?.blocks ?? []).map { pool.blockPointer($0) }, rows: rows,
      firstPosition: first, lanes: keptLanes(sequence, rows: rows.count))
    rowsOfSequence.choosesKeys = sequence.lanes?.choosesKeys ?? false
    work.batch.sequences.append(rowsOfSequence)

    let firstOutput = work.batch.outputRows.count
    if request.request.promptLogprobs != nil && request.promptDone == nil {
      // Row i predicts token i + 1; the last prompt row predicts the first generated token and is not among these.
      let predicted = entry.tokens.filter { $0 + 1 < sequence.promptCount }
      work.batch.outputRows += predicted.map { rows.lowerBound + $0 - entry.tokens.lowerBound }
    }
    let firstSample = work.batch.outputRows.count
    if entry.completesTokens && !request.isEmbedding && request.maxTokens > 0 {
      work.batch.outputRows.append(rows.upperBound - 1)
    }
    if request.isEmbedding { work.batch.wantHidden = true }
    work.parts.append(
      StepWork.Part(
        request: request, sequence: sequence, rows: rows, tokens: entry.tokens,
        promptOutputs: firstOutput..<firstSample,
        sampleOutput: firstSample < work.batch.outputRows.count ? firstSample : nil))
  }

  /// Whether the prompt has just been computed and its answers do not have sequences of their own yet.
  func isFirstSample(of request: LiveRequest) -> Bool { request.promptDone == nil }

  /// Marks sequences whose leading blocks are physically the same, so that attention reads them once (P2).
  private func groupSharedPrefixes(_ work: inout StepWork) {
    guard work.parts.count > 1 else { return }
    let slots = pool.shape.blockSlots
    let leading = work.parts.map { part in
      // Compacted lanes hold other slots than the blocks' first owner does, and who chooses reads by itself.
      part.sequence.lanes.map { $0.isCompacted || $0.choosesKeys } ?? false
        ? []
        : (part.sequence.table?.blocks ?? []).prefix(part.tokens.lowerBound / slots)
    }
    for (number, group) in PrefixGroups.find(leading).enumerated() {
      for member in group.members {
        work.batch.sequences[member].sharedBlocks = group.blocks
        work.batch.sequences[member].sharedGroup = number
      }
    }
  }
}
