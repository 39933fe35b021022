// weir bench selection: what a step takes when rows choose what they read, against reading everything, in one run.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies

struct SelectionBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "selection",
    abstract: "Seconds of a decode step at depths 2048, 8192, ...: the full cache, and policies that select.",
    discussion: """
      The prompt is computed once and then comes from the prefix cache, so that only policies which keep the prompt whole \
      are worth timing here. The full cache and the policies take turns; medians are quoted. A step counts everything: \
      ranking, fetching and attention. What the first step does besides (finding sentences, building their vectors) is \
      listed by itself.
      """)

  @OptionGroup var model: ModelOptions
  @Option(help: "Depths to decode at, comma separated.") var depths = "2048,4096,8192,16384"
  @Option(parsing: .upToNextOption, help: "Policies by name, with parameters where wanted.")
  var policies = ["sentencekv:sentence=24"]
  @Option(help: "Slots that a step reads (256), or a share of the prompt (25%).") var budget = "256"
  @Option(help: "Tokens to decode per measurement.") var decode = 24
  @Option(help: "Measurements of each; medians are reported.") var repetitions = 5
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  /// What one answer told.
  private struct Timing {
    /// Seconds of each step after the first.
    var steps = Samples()
    var first = Samples()
    var policyShare = Samples()
    var kv: KVUsage?
  }

  func validate() throws {
    guard decode > 2, repetitions > 0 else {
      throw ValidationError("--decode must be at least 3, --repetitions at least 1")
    }
    for policy in policies { _ = try request(policy) }
  }

  func run() async throws {
    let engine = try model.load(policy: try PolicyOptions.parse([]), quiet: report.json)
    let requests = [nil] + (try policies.map { Optional(try request($0)) })
    var points: [JSONValue] = []
    var curves = requests.map { LineChart.Series(name: $0?.name ?? "full", points: []) }
    var table = "\(engine.information.modelName), \(engine.information.threads) threads, budget \(budget)\n"
    table +=
      "depth    policy                          step ms   of full   policy   first ms   parts   read   new bytes\n"
    for depth in try LatencyBench.numbers(depths, flag: "--depths") {
      let timings = try await measure(engine, requests, depth: max(1, depth))
      for (place, timing) in timings.enumerated() {
        let name = requests[place]?.name ?? "full"
        let ratio = timing.steps.median / max(timings[0].steps.median, 1e-9)
        let reading = timing.kv?.reading
        table += String(format: "%-8d ", depth) + name.padding(toLength: 30, withPad: " ", startingAt: 0)
        table += String(
          format: " %8.2f   %6.2fx   %5.1f%%   %8.2f   %5d  %5.0f   %8.0f%%\n", timing.steps.median * 1000, ratio,
          timing.policyShare.median * 100, timing.first.median * 1000, reading?.parts ?? 0,
          reading?.meanSlots ?? Double(depth),
          reading.map { Double($0.newBytes) / Double(max(1, $0.readBytes)) * 100 } ?? 0)
        points.append(figures(timing, name, depth: depth, ratio: ratio))
        curves[place].points.append(LineChart.Point(x: Double(depth), y: timing.steps.median * 1000))
      }
      await engine.clearPrefixCache()
    }
    try plot.write([
      .line(
        LineChart(
          title: "A decode step, \(engine.information.modelName)", xLabel: "depth, tokens", yLabel: "ms",
          series: curves))
    ])
    try report.write(
      bench: "selection", settings: settings(engine), figures: ["points": .array(points)], table: table)
  }

  private func request(_ name: String) throws -> KVPolicyRequest {
    let request = KVPolicyRequest(name: name, budget: try KVPolicyRequest.Budget(flag: budget))
    _ = try KVPolicyCatalogue().policy(for: request, facts: KVPolicyFacts(promptTokens: 1 << 20, layers: 1, kvHeads: 1))
    return request
  }

  /// All policies in turn, over and over, after a round that warms up.
  private func measure(_ engine: Engine, _ requests: [KVPolicyRequest?], depth: Int) async throws -> [Timing] {
    let prompt = LatencyBench.prompt(engine, depth, seed: 0)
    var timings = requests.map { _ in Timing() }
    var ignored = Timing()
    for repetition in 0...repetitions {
      for (place, request) in requests.enumerated() {
        if repetition == 0 {
          try await answer(engine, prompt, request, into: &ignored)
        } else {
          try await answer(engine, prompt, request, into: &timings[place])
        }
      }
    }
    return timings
  }

  private func answer(
    _ engine: Engine, _ prompt: [TokenID], _ policy: KVPolicyRequest?, into timing: inout Timing
  ) async throws {
    var request = GenerationRequest(id: RequestID("bench"), prompt: prompt)
    request.maxTokens = decode + 1
    request.sampling.temperature = 0
    request.ignoreEndTokens = true
    request.kvPolicy = policy
    let clock = SystemClock()
    let before = await engine.status().counters.policySeconds
    var last: Instant?
    var told = 0
    var seconds = 0.0
    for try await event in engine.generate(request) {
      switch event {
      case .token:
        let now = clock.now()
        if let last {
          let step = now.seconds(since: last)
          if told == 1 { timing.first.add(step) } else { timing.steps.add(step) }
          seconds += step
        }
        last = now
        told += 1
      case .done(let usage): timing.kv = usage.kv.first
      case .admitted, .finished: break
      }
    }
    let spent = await engine.status().counters.policySeconds - before
    timing.policyShare.add(spent / max(seconds, 1e-9))
  }

  private func figures(_ timing: Timing, _ name: String, depth: Int, ratio: Double) -> JSONValue {
    var object: JSONObject = [
      "policy": .string(name), "depth": JSONValue(depth), "step_seconds": JSONValue(timing.steps.median),
      "step_seconds_p10": JSONValue(timing.steps.quantile(0.1)),
      "step_seconds_p90": JSONValue(timing.steps.quantile(0.9)),
      "of_full": JSONValue(ratio), "policy_share": JSONValue(timing.policyShare.median),
      "first_step_seconds": JSONValue(timing.first.median), "peak_kv_bytes": JSONValue(timing.kv?.peakBytes ?? 0),
    ]
    if let reading = timing.kv?.reading {
      object["parts"] = JSONValue(reading.parts)
      object["mean_slots"] = JSONValue(reading.meanSlots)
      object["read_bytes_per_step"] = JSONValue(reading.readBytes / max(1, reading.rows))
      object["new_bytes_per_step"] = JSONValue(reading.newBytes / max(1, reading.rows))
      object["state_bytes"] = JSONValue(reading.stateBytes)
    }
    return .object(object)
  }

  private func settings(_ engine: Engine) -> JSONObject {
    let information = engine.information
    return [
      "model": .string(information.modelName), "budget": .string(budget), "decode": JSONValue(decode),
      "repetitions": JSONValue(repetitions), "key_type": .string(information.keyType.rawValue),
      "value_type": .string(information.valueType.rawValue), "block_slots": JSONValue(information.blockSlots),
      "threads": JSONValue(information.threads), "kernels": .string(information.instructionSet),
    ]
  }
}
