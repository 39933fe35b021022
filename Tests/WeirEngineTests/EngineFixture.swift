// A real engine on a tiny random model, and a way to run requests to their end.

import Foundation
import Testing
import Weir
import WeirModelFiles

enum EngineFixture {
  /// The tiny random model, written once per test run.
  static let modelPath: String = {
    let path = NSTemporaryDirectory() + "weir-engine-tests-\(getpid()).gguf"
    do {
      try RandomModel.write(geometry: .tiny, type: .f32, seed: 11, to: path, progress: nil)
    } catch {
      Issue.record("the tiny model could not be written: \(error)")
    }
    return path
  }()

  /// An engine whose limits `change` may alter.
  static func engine(
    threads: Int = 2, _ change: (inout EngineConfiguration) -> Void = { _ in }
  ) throws -> Engine {
    var configuration = EngineConfiguration(modelName: "tiny")
    configuration.kvBytes = 32 << 20
    configuration.contextLength = 512
    change(&configuration)
    return try Engine.load(
      path: modelPath, options: LoadOptions(threads: threads, configuration: configuration))
  }

  static func prompt(_ count: Int, seed: UInt64 = 1) -> [TokenID] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in TokenID(Int(generator.next() % 200) + 260) }
  }

  static func request(_ prompt: [TokenID], maxTokens: Int = 16, name: String = "test") -> GenerationRequest {
    var request = GenerationRequest(id: RequestID(name), prompt: prompt)
    request.maxTokens = maxTokens
    request.sampling.temperature = 0
    request.ignoreEndTokens = true
    return request
  }
}

/// Everything a request told until its end.
struct Answer {
  var tokens: [Int: [TokenID]] = [:]
  var text: [Int: String] = [:]
  var logprobs: [TokenLogprob] = []
  var reasons: [Int: FinishReason] = [:]
  var prompt: PromptReport?
  var usage: UsageReport?
  var ends: [ChoiceEnd] = []

  /// Tokens and log-probabilities, for comparison bit for bit.
  var outcome: [String] {
    tokens.keys.sorted().flatMap { choice in (tokens[choice] ?? []).map { "\(choice): \($0)" } }
      + logprobs.map { "\($0.token) \($0.logprob.bitPattern) \($0.top.map { $0.logprob.bitPattern })" }
  }

  /// All requests at once; their outcomes in order.
  static func outcomes(_ requests: [GenerationRequest], _ engine: Engine) async throws -> [[String]] {
    try await withThrowingTaskGroup(of: (Int, [String]).self) { group in
      for (index, request) in requests.enumerated() {
        group.addTask { (index, try await Answer.of(request, engine).outcome) }
      }
      var results = Array(repeating: [String](), count: requests.count)
      for try await (index, result) in group { results[index] = result }
      return results
    }
  }

  /// Reads the whole stream of `request`.
  static func of(_ request: GenerationRequest, _ engine: Engine) async throws -> Answer {
    try await reading(engine.generate(request))
  }

  /// Reads a stream to its end.
  static func reading(_ events: AsyncThrowingStream<GenerationEvent, any Error>) async throws -> Answer {
    var answer = Answer()
    for try await event in events {
      switch event {
      case .admitted(let report): answer.prompt = report
      case .token(let token):
        answer.tokens[token.choice, default: []].append(token.token)
        answer.text[token.choice, default: ""] += token.text
        if let logprob = token.logprob { answer.logprobs.append(logprob) }
      case .finished(let end):
        answer.text[end.choice, default: ""] += end.text
        answer.reasons[end.choice] = end.reason
        answer.ends.append(end)
      case .done(let usage): answer.usage = usage
      }
    }
    return answer
  }
}
