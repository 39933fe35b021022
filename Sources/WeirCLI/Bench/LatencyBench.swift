// weir bench latency: prefill and decode speed of one sequence at chosen depths, in-process.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirEvaluation

struct LatencyBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latency", abstract: "Prefill and decode tokens per second of one sequence, at depths 0, 4096, ...")

  @OptionGroup var model: ModelOptions
  @Option(help: "Prompt lengths to prefill, comma separated; empty for none.") var prefill = "512"
  @Option(help: "Tokens to decode per measurement.") var decode = 128
  @Option(help: "Depths to decode at, comma separated; empty for none.") var depths = "0"
  @Option(help: "Repetitions; medians are reported.") var repetitions = 3
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func run() async throws {
    let engine = try model.load(quiet: report.json)
    var figures = JSONObject()
    var curves: (prefill: [LineChart.Point], decode: [LineChart.Point]) = ([], [])
    var table =
      "\(engine.information.modelName), \(engine.information.instructionSet), \(engine.information.threads) threads\n"
    for length in try Self.numbers(prefill, flag: "--prefill") {
      let rate = try await prefillRate(engine, length)
      figures["prefill_\(length)_tokens_per_second"] = .number(rate)
      curves.prefill.append(LineChart.Point(x: Double(length), y: rate))
      table += String(format: "prefill %6d            %9.2f tokens/s\n", length, rate)
    }
    for depth in try Self.numbers(depths, flag: "--depths") {
      let rate = try await decodeRate(engine, depth)
      figures["decode_at_\(depth)_tokens_per_second"] = .number(rate)
      curves.decode.append(LineChart.Point(x: Double(depth), y: rate))
      table += String(format: "decode %6d at %7d  %9.2f tokens/s\n", decode, depth, rate)
    }
    figures["weight_bytes"] = .integer(Int64(engine.memoryPlan.weightBytes))
    var settings = JSONObject()
    settings["model"] = .string(engine.information.modelName)
    settings["threads"] = .integer(Int64(engine.information.threads))
    settings["kernels"] = .string(engine.information.instructionSet)
    settings["repetitions"] = .integer(Int64(repetitions))
    try plot.write([
      Self.chart("Prefill", "prompt, tokens", curves.prefill, engine),
      Self.chart("Decode", "depth, tokens", curves.decode, engine),
    ])
    try report.write(bench: "latency", settings: settings, figures: figures, table: table)
  }

  private static func chart(_ what: String, _ xLabel: String, _ points: [LineChart.Point], _ engine: Engine) -> Chart {
    let name = engine.information.modelName
    return .line(
      LineChart(
        title: "\(what), \(name)", xLabel: xLabel, yLabel: "tokens/s",
        series: [LineChart.Series(name: name, points: points.sorted { $0.x < $1.x })]))
  }

  static func numbers(_ text: String, flag: String) throws -> [Int] {
    try text.split(separator: ",").map { part in
      guard let value = Int(part.trimmingCharacters(in: .whitespaces)), value >= 0 else {
        throw ValidationError("\(flag) \(text) must be whole numbers separated by commas")
      }
      return value
    }
  }

  private func prefillRate(_ engine: Engine, _ length: Int) async throws -> Double {
    var rates = Samples()
    for repetition in 0..<(repetitions + 1) {
      let usage = try await run(
        engine, Self.prompt(engine, length, seed: UInt64(repetition)), maxTokens: 0, cache: false)
      if repetition > 0 { rates.add(Double(length) / usage.prefillSeconds) }  // the first run warms up
    }
    return rates.median
  }

  /// The prompt is cached once; every repetition then decodes from the same depth.
  private func decodeRate(_ engine: Engine, _ depth: Int) async throws -> Double {
    let prompt = Self.prompt(engine, max(depth, 1), seed: 0)
    var rates = Samples()
    for repetition in 0..<(repetitions + 1) {
      let usage = try await run(engine, prompt, maxTokens: decode + 1, cache: true)
      if repetition > 0 { rates.add(Double(usage.completionTokens - 1) / usage.decodeSeconds) }
    }
    await engine.clearPrefixCache()
    return rates.median
  }

  private func run(_ engine: Engine, _ prompt: [TokenID], maxTokens: Int, cache: Bool) async throws -> UsageReport {
    var request = GenerationRequest(id: RequestID("bench"), prompt: prompt)
    request.maxTokens = maxTokens
    request.sampling.temperature = 0
    request.ignoreEndTokens = true
    request.readsCache = cache
    request.storesCache = cache
    for try await event in engine.generate(request) {
      if case .done(let usage) = event { return usage }
    }
    throw ValidationError("the engine ended a request without its usage")
  }

  /// Random tokens of the vocabulary, without special ones.
  static func prompt(_ engine: Engine, _ length: Int, seed: UInt64) -> [TokenID] {
    engine.information.randomPrompt(length, seed: seed)
  }
}
