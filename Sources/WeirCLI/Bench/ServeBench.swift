// weir bench serve: concurrent streaming clients against any OpenAI server, ours or another.

import ArgumentParser
import Foundation
import Synchronization
import WeirBasics
import WeirEvaluation

struct ServeBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Concurrent streaming clients against an OpenAI server at --url.")

  @Option(help: "The server.") var url = "http://127.0.0.1:8000"
  @Option(help: "Model name to ask for (default: whatever the server serves).") var model: String?
  @Option(help: "Clients at once.") var clients = 8
  @Option(help: "Requests of each client, one after another.") var rounds = 1
  @Option(help: "Prompt tokens of each request.") var input = 128
  @Option(help: "Leading prompt tokens that all requests share.") var shared = 0
  @Option(help: "Tokens to generate.") var output = 128
  @Option(help: "Token ids are drawn from 300 up to this number.") var vocabulary = 30000
  @Option(help: "Seed of the prompts: another seed, another (cold) set.") var seed: UInt64 = 1
  @Option(name: .customLong("api-key")) var key: String?
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  struct Outcome: Sendable {
    var firstSeconds = 0.0
    var totalSeconds = 0.0
    var gaps: [Double] = []
    var promptTokens = 0
    var cachedTokens = 0
    var completionTokens = 0
  }

  func validate() throws {
    guard clients > 0, rounds > 0, output > 0, input > 0, (0...input).contains(shared), vocabulary > 301 else {
      throw ValidationError("counts must be at least 1, --shared at most --input, --vocabulary over 301")
    }
  }

  func run() async throws {
    let outcomes = Mutex<[Outcome]>([])
    let failures = Mutex<[String]>([])
    let clock = SystemClock()
    let start = clock.now()
    // Threads, not tasks: the client blocks, and the cooperative pool has few threads.
    let group = DispatchGroup()
    for client in 0..<clients {
      group.enter()
      Thread.detachNewThread {
        defer { group.leave() }
        for round in 0..<rounds {
          do {
            let outcome = try request(number: client * rounds + round)
            outcomes.withLock { $0.append(outcome) }
          } catch {
            failures.withLock { $0.append("\(error)") }
          }
        }
      }
    }
    await withCheckedContinuation { done in group.notify(queue: .global()) { done.resume() } }
    let seconds = clock.now().seconds(since: start)
    let broken = failures.withLock { $0 }
    for failure in Set(broken) { Terminal.writeError("failed: \(failure)\n") }
    try write(outcomes.withLock { $0 }, failed: broken.count, seconds: seconds)
  }

  private func tokens(_ count: Int, stream: UInt64) -> [JSONValue] {
    var generator = SeededGenerator(seed: seed, stream: stream)
    return (0..<count).map { _ in .integer(Int64(300 + generator.next() % UInt64(vocabulary - 300))) }
  }

  private func request(number: Int) throws -> Outcome {
    let prompt = tokens(shared, stream: 0) + tokens(input - shared, stream: UInt64(number + 1))
    var body: JSONObject = [
      "prompt": .array(prompt), "max_tokens": .integer(Int64(output)), "temperature": 0,
      "ignore_eos": true, "stream": true, "stream_options": ["include_usage": true],
    ]
    if let model { body["model"] = .string(model) }
    let client = try StreamClient(url: url)
    let clock = SystemClock()
    let start = clock.now()
    let events = try client.events(path: "/v1/completions", body: JSONValue.object(body).serialized(), key: key)
    var outcome = Outcome()
    outcome.totalSeconds = clock.now().seconds(since: start)
    var last: Instant?
    for event in events where event.data != "[DONE]" {
      guard let value = try? JSONValue.parse(event.data) else { continue }
      if let usage = value["usage"], usage["completion_tokens"] != nil {
        outcome.promptTokens = usage["prompt_tokens"]?.int ?? 0
        outcome.completionTokens = usage["completion_tokens"]?.int ?? 0
        outcome.cachedTokens = usage["prompt_tokens_details"]?["cached_tokens"]?.int ?? 0
      }
      guard let choice = value["choices"]?.array?.first, choice["text"] != nil else { continue }
      if let last {
        outcome.gaps.append(event.at.seconds(since: last))
      } else {
        outcome.firstSeconds = event.at.seconds(since: start)
      }
      last = event.at
    }
    return outcome
  }

  private func write(_ outcomes: [Outcome], failed: Int, seconds: Double) throws {
    var firsts = Samples()
    var gaps = Samples()
    for outcome in outcomes {
      firsts.add(outcome.firstSeconds)
      for gap in outcome.gaps { gaps.add(gap) }
    }
    let generated = outcomes.reduce(0) { $0 + $1.completionTokens }
    let prompts = outcomes.reduce(0) { $0 + $1.promptTokens }
    let cached = outcomes.reduce(0) { $0 + $1.cachedTokens }
    var figures = JSONObject()
    figures["completed"] = .integer(Int64(outcomes.count))
    figures["failed"] = .integer(Int64(failed))
    figures["seconds"] = .number(seconds)
    figures["output_tokens_per_second"] = .number(Double(generated) / seconds)
    figures["ttft_median_seconds"] = .number(firsts.median)
    figures["ttft_p99_seconds"] = .number(firsts.quantile(0.99))
    figures["inter_token_median_seconds"] = .number(gaps.median)
    figures["inter_token_p99_seconds"] = .number(gaps.quantile(0.99))
    figures["prompt_tokens"] = .integer(Int64(prompts))
    figures["cached_tokens"] = .integer(Int64(cached))
    var settings = JSONObject()
    settings["clients"] = .integer(Int64(clients))
    settings["rounds"] = .integer(Int64(rounds))
    settings["input"] = .integer(Int64(input))
    settings["shared"] = .integer(Int64(shared))
    settings["output"] = .integer(Int64(output))
    let table = String(
      format: """
        %d of %d requests in %.2f s: %.2f output tokens/s
        TTFT median %.3f s, p99 %.3f s; between tokens median %.1f ms, p99 %.1f ms
        %d prompt tokens, %d of them from the cache

        """, outcomes.count, outcomes.count + failed, seconds, Double(generated) / seconds, firsts.median,
      firsts.quantile(0.99), gaps.median * 1e3, gaps.quantile(0.99) * 1e3, prompts, cached)
    try plot.write([
      firsts.spread(title: "Time to first token", unit: "seconds"),
      gaps.spread(title: "Time between tokens", unit: "milliseconds", scale: 1e3),
    ])
    try report.write(bench: "serve", settings: settings, figures: figures, table: table)
    if failed > 0 { throw ExitCode.failure }
  }
}
