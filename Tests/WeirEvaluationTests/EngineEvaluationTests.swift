// Whole evaluations on a real engine over the tiny random model: the engine's own answers are the right ones.

import Foundation
import Testing
import Weir
import WeirEvaluation
import WeirModelFiles

@Suite struct EngineEvaluationTests {
  static let modelPath: String = {
    let path = NSTemporaryDirectory() + "weir-evaluation-tests-\(getpid()).gguf"
    do {
      try RandomModel.write(geometry: .tiny, type: .f32, seed: 23, to: path, progress: nil)
    } catch {
      Issue.record("the tiny model could not be written: \(error)")
    }
    return path
  }()

  static func engine(_ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
    var configuration = EngineConfiguration(modelName: "tiny")
    configuration.kvBytes = 32 << 20
    configuration.contextLength = 1024
    change(&configuration)
    return try Engine.load(path: modelPath, options: LoadOptions(threads: 2, configuration: configuration))
  }

  /// Conversations and raw texts of random words; the answers are still to be filled in.
  static func questions(_ count: Int) -> [TaskItem] {
    (0..<count).map { place in
      var generator = SeededGenerator(seed: UInt64(place))
      func words(_ count: Int) -> String {
        (0..<count).map { _ in ["sun", "moon", "stone", "river", "seven", "blue"][Int(generator.next() % 6)] }
          .joined(separator: " ")
      }
      let context = words(20 + place * 3)
      let question = "Where is \(words(3)) \(place)?"
      let prompt: TaskItem.Prompt =
        switch place % 3 {
        case 0: .messages([TaskMessage(role: "user", content: context + "\n" + question)])
        case 1:
          .messages([
            TaskMessage(role: "user", content: context), TaskMessage(role: "assistant", content: "Yes."),
            TaskMessage(role: "user", content: question),
          ])
        default: .text(context + "\n" + question + " It is")
        }
      return TaskItem(
        id: "q\(place)", prompt: prompt, question: question, answers: ["nothing yet"],
        tags: [
          TaskTag(key: "set", value: .word(place % 2 == 0 ? "even" : "odd")),
          TaskTag(key: "context_tokens", value: .number(Double(20 + place * 3))),
        ])
    }
  }

  static func outcomes(
    _ items: [TaskItem], _ engine: Engine, _ timing: QuestionTiming = .known, inFlight: Int = 4
  ) async throws -> [ItemOutcome] {
    let respondent = try EngineRespondent(engine: engine, timing: timing, maxTokens: 12)
    return await EvaluationRun.outcomes(of: items, from: respondent, inFlight: inFlight)
  }

  /// The questions with the engine's own answers. Left out are answers of a few letters, which are easily a part of
  /// another one, and those that another question has as well.
  static func items(_ engine: Engine, count: Int = 36) async throws -> [TaskItem] {
    let questions = questions(count)
    let outcomes = try await outcomes(questions, engine, inFlight: 1)
    var seen: Set<String> = []
    return zip(questions, outcomes).compactMap { item, outcome in
      guard let text = outcome.answer?.text, text.count >= 8, seen.insert(text.lowercased()).inserted else {
        return nil
      }
      var item = item
      item.answers = [text]
      return item
    }
  }

  @Test func `the engine's own answers score everything, shuffled ones nothing`() async throws {
    let engine = try Self.engine()
    let items = try await Self.items(engine)
    try #require(items.count >= 12, "only \(items.count) items are left")
    // In a batch and from a cold cache: the answers must be those of one at a time.
    await engine.clearPrefixCache()
    let own = try await Self.outcomes(items, engine, inFlight: 8)
    let report = EvaluationReport(items: items, results: [Self.result("own", own)])
    #expect(report.breakdowns[0].overall == Tally(correct: items.count, count: items.count))
    #expect(try report.broken([Gate("all>=1"), Gate("even>=1")]).isEmpty)

    var shuffled = items
    for place in items.indices { shuffled[place].answers = items[(place + 1) % items.count].answers }
    let wrong = try await Self.outcomes(shuffled, engine)
    let worse = EvaluationReport(items: shuffled, results: [Self.result("shuffled", wrong)])
    #expect(worse.breakdowns[0].overall.share <= 0.1, "\(worse.table)")
    #expect(try worse.broken([Gate("all>=95%")]).count == 1)
  }

  @Test func `with the full cache it does not matter when the question comes`() async throws {
    let questions = Self.questions(24)
    let known = try await Self.outcomes(questions, Self.engine())
    let unknown = try await Self.outcomes(questions, Self.engine(), .unknown)
    #expect(known.map { $0.answer?.text } == unknown.map { $0.answer?.text })
    #expect(known.allSatisfy { $0.failure == nil })
    for (item, outcome) in zip(questions, unknown) {
      let answer = try #require(outcome.answer, "\(outcome)")
      #expect(answer.contextTokens > 10, "\(item.id): \(answer)")
      #expect(answer.contextTokens < answer.promptTokens, "\(item.id): \(answer)")
      // The question's request continues on the context's KV.
      #expect(answer.cachedTokens >= answer.contextTokens, "\(item.id): \(answer)")
    }
    #expect(known.allSatisfy { $0.answer?.contextTokens == 0 })
    let both = EvaluationReport(
      items: questions, results: [Self.result("known", known), Self.result("unknown", unknown)])
    #expect(both.sameAnswers(as: 1) == questions.count)
  }

  @Test func `what cannot be asked fails by itself and counts as wrong`() async throws {
    let engine = try Self.engine { $0.contextLength = 64 }
    var items = Array(Self.questions(3))
    items.append(TaskItem(id: "long", prompt: .text(String(repeating: "word ", count: 400)), answers: ["x"]))
    let outcomes = try await Self.outcomes(items, engine)
    #expect(outcomes[3].failure?.contains("context_length_exceeded") == true, "\(outcomes[3])")
    #expect(!outcomes[3].isRight)
    #expect(outcomes.count == 4)
    // Raw text that does not tell its question cannot be split.
    let split = try await Self.outcomes([items[3]], engine, .unknown)
    #expect(split[0].failure?.contains("question") == true, "\(split[0])")
    let cold = try Self.engine { $0.prefixCache = false }
    #expect(throws: EvaluationError.self) { try EngineRespondent(engine: cold, timing: .unknown, maxTokens: 4) }
  }

  @Test func `the report speaks JSON, a table and curves`() async throws {
    let engine = try Self.engine()
    let items = Self.questions(12)
    var first = Self.result("f16 <full>", try await Self.outcomes(items, engine))
    first.memory = KVMemory(peakBytes: 1 << 20, tokenBytes: 1024, poolBytes: 2 << 20, preemptions: 0)
    let prompt = engine.information.tokenizer.encode("the sun and the moon")
    first.speeds = [try await SpeedSample.measure(prompt: prompt, decodeTokens: 4, engine: engine)]
    #expect(first.prefillTokensPerSecondIsPositive)
    let report = EvaluationReport(items: items, results: [first, Self.result("again", first.outcomes)])
    let text = JSONValue.object(report.full).serialized()
    let value = try JSONValue.parse(text)
    let configuration = try #require(value["configurations"]?[0])
    #expect(configuration["exact_match"]?["count"]?.int == 12)
    #expect(configuration["by_tag"]?["set"]?["even"]?["count"]?.int == 6)
    #expect(configuration["peak_kv_bytes"]?.int == 1 << 20)
    #expect(configuration["answers"]?.array?.count == 12)
    #expect(value["configurations"]?[1]?["same_answers_as_first"]?.int == 12)
    for words in ["exact match", "context_tokens", "even", "peak KV", "1.00 MiB", "same answers as f16 <full>"] {
      #expect(report.table.contains(words), "\(words) is missing in\n\(report.table)")
    }
    guard case .line(let chart)? = report.charts.first else {
      Issue.record("context lengths make a curve")
      return
    }
    #expect(chart.series.map(\.name) == ["f16 <full>", "again"])
    #expect(chart.series[0].points.count == report.breakdowns[0].section("context_tokens")?.groups.count)
  }

  private static func result(_ name: String, _ outcomes: [ItemOutcome]) -> ConfigurationResult {
    ConfigurationResult(name: name, settings: ["model": "tiny"], outcomes: outcomes, seconds: 1)
  }
}

extension ConfigurationResult {
  fileprivate var prefillTokensPerSecondIsPositive: Bool {
    speeds.allSatisfy { $0.prefillTokensPerSecond > 0 && $0.decodeTokensPerSecond > 0 }
  }
}

@Suite struct PerplexityTests {
  private static let text = String(
    (0..<45).map { "line \($0 * 37 % 101) of a text that nobody wrote\n" }.joined())

  /// What the engine says of every token of one request, summed here.
  private static func reference(_ tokens: [TokenID], _ engine: Engine) async throws -> Double {
    var request = GenerationRequest(id: RequestID("reference"), prompt: tokens)
    request.maxTokens = 0
    request.promptLogprobs = 0
    var nats = 0.0
    for try await event in engine.generate(request) {
      if case .admitted(let report) = event {
        nats -= (report.promptLogprobs ?? []).compactMap { $0 }.reduce(0) { $0 + Double($1.logprob) }
      }
    }
    return nats
  }

  @Test func `one window is the sum of the prompt's log-probabilities`() async throws {
    let engine = try EngineEvaluationTests.engine()
    let tokenizer = engine.information.tokenizer
    let tokens = Array(tokenizer.encode(Self.text, addSpecial: false, parseSpecial: false).prefix(300))
    let measured = try await Perplexity.measure(Self.text, engine: engine, tokenLimit: 300, window: 512)
    let bos = try #require(tokenizer.bosToken)
    let nats = try await Self.reference([bos] + tokens, engine)
    #expect(measured.tokens == 300)
    #expect(abs(measured.nats - nats) < 1e-9 * abs(nats), "\(measured.nats) and \(nats)")
    #expect(measured.bytes == tokens.reduce(0) { $0 + tokenizer.tokenBytes($1).count })
    // A random model knows nothing: about as many choices as the vocabulary has entries.
    #expect(measured.value > 100 && measured.value < 10000, "\(measured.value)")
  }

  @Test func `every token is scored once, whatever the window`() async throws {
    let engine = try EngineEvaluationTests.engine()
    let count = engine.information.tokenizer.encode(Self.text, addSpecial: false, parseSpecial: false).count
    for window in [5, 65, 512] {
      let measured = try await Perplexity.measure(
        Self.text, engine: engine, tokenLimit: window == 5 ? 40 : nil, window: window)
      #expect(measured.tokens == (window == 5 ? 40 : count), "window \(window)")
      if window > 5 { #expect(measured.bytes == Self.text.utf8.count) }
    }
    for window in [3, 1024] {
      await #expect(throws: EvaluationError.self) {
        try await Perplexity.measure(Self.text, engine: engine, window: window)
      }
    }
  }
}
