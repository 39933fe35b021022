// From logits to tokens: all answers of a step are sampled side by side on the worker pool.

import WeirBasics
import WeirKernels
import WeirModels
import WeirSampling
import WeirScheduling
import WeirText

extension StepLoop {
  /// Collects what a prompt's rows tell besides the next token: log-probabilities and hidden states.
  func collectPromptSignals(_ work: StepWork, logits: Rows) {
    for part in work.parts where part.request.promptDone == nil {
      if part.request.isEmbedding { addHidden(part) }
      if part.request.request.handsOver, part.sequence.lanes != nil, let output = part.sampleOutput {
        let states = workspace.outputStates
        part.request.promptState = Array(UnsafeBufferPointer(start: states.row(output), count: states.columns))
      }
      guard let top = part.request.request.promptLogprobs, !part.promptOutputs.isEmpty else { continue }
      for output in 0..<part.promptOutputs.count {
        let next = part.sequence.tokens[part.tokens.lowerBound + output + 1]
        let row = RowLogprobs(
          UnsafeBufferPointer(start: logits.row(part.promptOutputs.lowerBound + output), count: logits.columns))
        part.request.promptLogprobs.append(TokenLogprob(of: next, in: row, topCount: top))
      }
    }
  }

  private func addHidden(_ part: StepWork.Part) {
    let hidden = workspace.finalHidden.slice(part.rows)
    if part.request.hiddenSum.isEmpty { part.request.hiddenSum = Array(repeating: 0, count: hidden.columns) }
    for row in 0..<hidden.count {
      let values = hidden.row(row)
      for column in 0..<hidden.columns { part.request.hiddenSum[column] += values[column] }
    }
  }

  func sample(_ work: StepWork, logits: Rows) {
    var jobs: [(choice: Choice, request: LiveRequest, output: Int)] = []
    for part in work.parts {
      guard let output = part.sampleOutput else { continue }
      let isFirst = isFirstSample(of: part.request)
      if isFirst { forkAnswers(part) }
      for choice in part.request.choices where isFirst || choice.sequence == part.sequence.id {
        jobs.append((choice, part.request, output))
      }
    }
    model.context.pool.parallel(tasks: jobs.count) { index, _ in
      let job = jobs[index]
      self.sampleOne(job.choice, of: job.request, row: logits.row(job.output), count: logits.columns)
    }
  }

  /// Runs on a pool thread: touches only this answer's own state.
  private func sampleOne(_ choice: Choice, of request: LiveRequest, row: UnsafeMutablePointer<Float>, count: Int) {
    let asked = request.request
    let banned = choice.generated < asked.minTokens ? tokenizer.endTokens.union(asked.stopTokens) : []
    let mask = choice.constraint?.mask()
    choice.sampled = choice.sampler.sample(
      UnsafeMutableBufferPointer(start: row, count: min(count, tokenizer.vocabularySize)), mask: mask,
      bannedNow: banned,
      topCount: asked.topLogprobs ?? -1)
  }

  /// Gives every further answer a sequence that shares the prompt's blocks.
  private func forkAnswers(_ part: StepWork.Part) {
    for choice in part.request.choices.dropFirst() where choice.sequence == nil {
      guard let copy = scheduler.fork(part.sequence.id, pool: pool) else {
        preconditionFailure("a running sequence of \(part.request.request.id) could not be forked")
      }
      choice.sequence = copy.id
      owners[copy.id] = (part.request, choice)
    }
  }
}
