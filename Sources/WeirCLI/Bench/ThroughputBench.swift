// weir bench throughput: many sequences at once, in-process, with and without a shared prefix.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirEvaluation

struct ThroughputBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "throughput", abstract: "Tokens per second of many requests at once.")

  @OptionGroup var model: ModelOptions
  @Option(help: "Requests, all at once.") var requests = 8
  @Option(help: "Prompt tokens of each request.") var input = 128
  @Option(help: "Tokens generated for each request.") var output = 128
  @Option(help: "Leading prompt tokens that all requests share.") var shared = 0
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func validate() throws {
    guard requests > 0, output > 0, input > 0, (0...input).contains(shared) else {
      throw ValidationError("--requests, --input and --output must be at least 1, --shared at most --input")
    }
  }

  func run() async throws {
    let engine = try model.load(quiet: report.json)
    let prefix = LatencyBench.prompt(engine, shared, seed: 1)
    let clock = SystemClock()
    let start = clock.now()
    let usages = try await withThrowingTaskGroup(of: UsageReport?.self) { group in
      for index in 0..<requests {
        let rest = LatencyBench.prompt(engine, input - shared, seed: UInt64(index + 2))
        group.addTask { try await Self.run(engine, prefix + rest, output: output, index: index) }
      }
      var all: [UsageReport] = []
      for try await usage in group { if let usage { all.append(usage) } }
      return all
    }
    let seconds = clock.now().seconds(since: start)
    try write(usages, seconds: seconds, engine)
  }

  private static func run(_ engine: Engine, _ prompt: [TokenID], output: Int, index: Int) async throws -> UsageReport? {
    var request = GenerationRequest(id: RequestID("bench-\(index)"), prompt: prompt)
    request.maxTokens = output
    request.sampling.temperature = 0
    request.ignoreEndTokens = true
    var usage: UsageReport?
    for try await event in engine.generate(request) {
      if case .done(let report) = event { usage = report }
    }
    return usage
  }

  private func write(_ usages: [UsageReport], seconds: Double, _ engine: Engine) throws {
    var firsts = Samples()
    for usage in usages { firsts.add(usage.timeToFirstTokenSeconds) }
    let generated = usages.reduce(0) { $0 + $1.completionTokens }
    let cached = usages.reduce(0) { $0 + $1.cachedTokens }
    var figures = JSONObject()
    figures["seconds"] = .number(seconds)
    figures["output_tokens_per_second"] = .number(Double(generated) / seconds)
    figures["total_tokens_per_second"] = .number(Double(generated + requests * input) / seconds)
    figures["ttft_median_seconds"] = .number(firsts.median)
    figures["ttft_p99_seconds"] = .number(firsts.quantile(0.99))
    figures["cached_prompt_tokens"] = .integer(Int64(cached))
    figures["computed_prompt_tokens"] = .integer(Int64(requests * input - cached))
    var settings = JSONObject()
    settings["model"] = .string(engine.information.modelName)
    settings["requests"] = .integer(Int64(requests))
    settings["input"] = .integer(Int64(input))
    settings["output"] = .integer(Int64(output))
    settings["shared"] = .integer(Int64(shared))
    let table = String(
      format:
        "%d requests, %d in (%d shared), %d out: %.2f s, %.1f output tokens/s, TTFT median %.2f s, %d prompt tokens computed\n",
      requests, input, shared, output, seconds, Double(generated) / seconds, firsts.median, requests * input - cached)
    try plot.write([firsts.spread(title: "Time to first token", unit: "seconds")])
    try report.write(bench: "throughput", settings: settings, figures: figures, table: table)
  }
}
