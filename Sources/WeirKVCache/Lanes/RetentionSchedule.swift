// At which token counts a sequence's policy is asked.

/// The places of one sequence at which its policy is asked, from counts alone: a pure value. Between two questions
/// every lane grows by one slot per token, so the next place is known as soon as one question has been answered.
struct RetentionSchedule: Sendable {
  let cadence: RetentionCadence
  let promptTokens: Int

  /// The token count at which the policy is asked next; nil: never.
  ///
  /// - Parameters:
  ///   - computed: tokens computed so far.
  ///   - excess: slots of the fullest lane over its budget, negative for room; nil: no lane has a budget.
  func nextQuestion(after computed: Int, excess: Int?) -> Int? {
    // Tokens until a lane is over its budget.
    let overBudget = cadence.asksWithinBudget ? 1 : excess.map { max(1, 1 - $0) }
    guard let overBudget else { return nil }
    if computed < promptTokens {
      if let chunk = cadence.chunkTokens {
        let boundary = (computed + overBudget + chunk - 1) / chunk * chunk
        if boundary < promptTokens { return boundary }
      }
      if computed + overBudget <= promptTokens { return promptTokens }
    }
    if cadence.endsWithPrompt { return nil }
    if cadence.asksWithinBudget { return max(computed, promptTokens) + cadence.slackSlots + 1 }
    return max(promptTokens + 1, computed + max(1, cadence.slackSlots + 1 - (excess ?? 0)))
  }

  /// What a question at `computed` tokens is called.
  func moment(at computed: Int) -> RetentionMoment {
    computed < promptTokens ? .prefillChunkDone : computed == promptTokens ? .prefillDone : .stepDone
  }

  /// Most slots that a lane with `budget` ever holds while up to `tokens` tokens are computed.
  func peakSlots(budget: Int?, tokens: Int) -> Int {
    guard let budget else { return tokens }
    let prefill = cadence.chunkTokens.map { budget + $0 } ?? promptTokens
    let decode = cadence.endsWithPrompt ? budget + max(0, tokens - promptTokens) : budget + cadence.slackSlots + 1
    return min(tokens, max(prefill, decode))
  }
}
