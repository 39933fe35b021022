// The measuring itself: in this process, or over HTTP.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirKVCache

extension EvalCommand {
  /// Longest window of `--text` that is taken without asking.
  private static let windowMax = 1024
  /// Tokens decoded by a measurement of speed.
  private static let speedTokens = 32

  private var isSilent: Bool { quiet || report.json }

  // MARK: in this process

  func measure(_ candidates: [EvalCandidate], _ items: [TaskItem]) async throws -> [ConfigurationResult] {
    var engines: [Engine] = []
    var results: [ConfigurationResult] = []
    for candidate in candidates {
      let engine = try candidate.options.model.load(policy: candidate.options.policy, quiet: isSilent)
      engines.append(engine)
      results.append(try await measure(candidate, items, engine))
    }
    try await measureSpeeds(engines, items, &results)
    return results
  }

  private func measure(
    _ candidate: EvalCandidate, _ items: [TaskItem], _ engine: Engine
  ) async throws -> ConfigurationResult {
    var result = ConfigurationResult(name: candidate.name, settings: Self.settings(candidate, engine))
    if !items.isEmpty {
      let respondent = try EngineRespondent(
        engine: engine, timing: candidate.options.question, maxTokens: answerTokens)
      try await ask(items, respondent, inFlight: places(candidate, engine), &result)
    }
    let status = await engine.status()
    result.memory = KVMemory(
      peakBytes: status.pool.peakUsedBlocks * status.pool.blockBytes, tokenBytes: engine.memoryPlan.tokenBytes,
      poolBytes: engine.memoryPlan.kvBytes, preemptions: Int(status.counters.preemptions))
    if let text { result.perplexity = try await perplexity(ofFile: text, candidate.name, engine) }
    return result
  }

  /// Items that may be in flight. A context that waits for its question is held by the prefix cache only: with too many
  /// of them, the pool would evict one before its question came, and the question would compute it again.
  private func places(_ candidate: EvalCandidate, _ engine: Engine) -> Int {
    guard candidate.options.question == .unknown else { return inFlight }
    let information = engine.information
    let contexts = information.totalBlocks * information.blockSlots / max(1, information.contextLength)
    return min(inFlight, max(1, contexts - 1))
  }

  private func ask(
    _ items: [TaskItem], _ respondent: some Respondent, inFlight: Int, _ result: inout ConfigurationResult
  ) async throws {
    let bar = ProgressBar(label: "\(result.name): \(items.count) items", isQuiet: isSilent)
    let clock = SystemClock()
    let start = clock.now()
    result.outcomes = await EvaluationRun.outcomes(of: items, from: respondent, inFlight: inFlight) { done in
      bar.update(Double(done) / Double(items.count))
    }
    result.seconds = clock.now().seconds(since: start)
    bar.finish()
  }

  private func perplexity(ofFile path: String, _ name: String, _ engine: Engine) async throws -> Perplexity {
    guard let words = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw ValidationError("--text \(path): the file cannot be read as UTF-8")
    }
    let bar = ProgressBar(label: "\(name): \(Self.fileName(path))", isQuiet: isSilent)
    defer { bar.finish() }
    return try await Perplexity.measure(
      words, engine: engine, tokenLimit: textTokens,
      window: window ?? min(Self.windowMax, engine.information.contextLength - 1), progress: { bar.update($0) })
  }

  /// Speeds of the longest prompt alone. All configurations take turns, because a machine's speed drifts.
  private func measureSpeeds(
    _ engines: [Engine], _ items: [TaskItem], _ results: inout [ConfigurationResult]
  ) async throws {
    guard speedRepetitions > 0, let longest = Self.longest(items, results) else { return }
    for repetition in 0...speedRepetitions {
      for (place, engine) in engines.enumerated() {
        let respondent = try EngineRespondent(engine: engine, timing: .known, maxTokens: Self.speedTokens)
        let prompt = try respondent.promptTokens(of: longest)
        let room = engine.information.contextLength - prompt.count
        guard room > 1 else { continue }
        let sample = try await SpeedSample.measure(
          prompt: prompt, decodeTokens: min(Self.speedTokens, room), engine: engine)
        // The first round warms up.
        if repetition > 0 { results[place].speeds.append(sample) }
      }
    }
  }

  private static func longest(_ items: [TaskItem], _ results: [ConfigurationResult]) -> TaskItem? {
    guard let first = results.first else { return nil }
    return zip(items, first.outcomes).filter { $1.answer != nil }
      .max { ($0.1.answer?.promptTokens ?? 0) < ($1.1.answer?.promptTokens ?? 0) }?.0
  }

  private static func settings(_ candidate: EvalCandidate, _ engine: Engine) -> JSONObject {
    let information = engine.information
    var settings: JSONObject = [
      "flags": .string(candidate.flags.joined(separator: " ")),
      "question": .string(candidate.options.question.rawValue),
      "kv_policy": .string(candidate.options.policy.kvPolicy), "key_type": .string(information.keyType.rawValue),
      "value_type": .string(information.valueType.rawValue), "block_slots": JSONValue(information.blockSlots),
      "prefix_cache": JSONValue(information.prefixCaching), "threads": JSONValue(information.threads),
      "kernels": .string(information.instructionSet), "context": JSONValue(information.contextLength),
      "step_tokens": JSONValue(information.stepTokens),
    ]
    if let budget = candidate.options.policy.budget { settings["budget"] = .string(budget) }
    return settings
  }

  // MARK: over HTTP

  func measure(
    _ candidates: [EvalCandidate], _ items: [TaskItem], url: String
  ) async throws -> [ConfigurationResult] {
    _ = try StreamClient(url: url)
    var results: [ConfigurationResult] = []
    for candidate in candidates {
      let respondent = ServerRespondent(
        model: candidate.options.model.model, timing: candidate.options.question, maxTokens: answerTokens,
        clock: SystemClock(), transport: Self.transport(url: url, key: key))
      var result = ConfigurationResult(
        name: candidate.name, settings: ["question": .string(candidate.options.question.rawValue)])
      try await ask(items, respondent, inFlight: inFlight, &result)
      results.append(result)
    }
    return results
  }

  /// The client blocks, and the cooperative pool has few threads: every request gets one of its own.
  private static func transport(url: String, key: String?) -> ServerRespondent.Transport {
    { path, body in
      try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
          continuation.resume(
            with: Result {
              try StreamClient(url: url).events(path: path, body: body.serialized(), key: key).map {
                ServerRespondent.Event(at: $0.at, data: $0.data)
              }
            })
        }
      }
    }
  }
}
