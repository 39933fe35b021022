// All items through one respondent, several at once.

/// What became of one item.
public struct ItemOutcome: Sendable, Equatable {
  /// Nil if it could not be answered.
  public var answer: ItemAnswer?
  /// Why not; nil if it was.
  public var failure: String?
  /// An item that could not be answered is not right.
  public var isRight: Bool

  public init(answer: ItemAnswer? = nil, failure: String? = nil, isRight: Bool = false) {
    self.answer = answer
    self.failure = failure
    self.isRight = isRight
  }
}

/// Runs items.
public enum EvaluationRun {
  /// Asks every item once.
  ///
  /// - Parameters:
  ///   - items: what to ask.
  ///   - respondent: who answers.
  ///   - inFlight: most items at once, at least 1; they share the engine's batches.
  ///   - progress: called with the number of items done.
  /// - Returns: one outcome per item, in the order of the items.
  public static func outcomes(
    of items: [TaskItem], from respondent: some Respondent, inFlight: Int, progress: @Sendable (Int) -> Void = { _ in }
  ) async -> [ItemOutcome] {
    var outcomes = Array(repeating: ItemOutcome(), count: items.count)
    await withTaskGroup(of: (Int, ItemOutcome).self) { group in
      var next = 0
      func start() {
        guard next < items.count else { return }
        let (place, item) = (next, items[next])
        next += 1
        group.addTask { (place, await outcome(of: item, from: respondent)) }
      }
      for _ in 0..<max(1, inFlight) { start() }
      var done = 0
      for await (place, outcome) in group {
        outcomes[place] = outcome
        done += 1
        progress(done)
        start()
      }
    }
    return outcomes
  }

  private static func outcome(of item: TaskItem, from respondent: some Respondent) async -> ItemOutcome {
    do {
      let answer = try await respondent.answer(item)
      return ItemOutcome(answer: answer, isRight: AnswerRule.isRight(answer.text, for: item))
    } catch {
      return ItemOutcome(failure: "\(error)")
    }
  }
}
