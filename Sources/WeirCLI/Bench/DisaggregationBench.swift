// weir bench disagg: KV of a real prompt from engine to engine, and what that costs a request.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirKVTransfer

struct DisaggregationBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disagg",
    abstract: "Prefill on one engine and decode on another: ways to hand KV over, and requests against one engine.",
    discussion: """
      Two engines of one process, each with its own weights, threads and transport, kept on a core each. The prompt is \
      computed once; its KV is then handed over again and again, the modes in turn, every answer compared with one \
      engine's. a: one awaited call per block, layer and side. b: the same, 64 in flight. d: gathered, one call, \
      scattered. e: one call per block. f: one call per co-run (FlowKV). raw: as many bytes in one place, without \
      engines. --streamed: c is b's calls and 'f, streamed' is f's, sent while the prompt is computed, chunk by chunk; \
      the time is from the prefill's end to the other engine's first token. Then whole requests: through both engines, through one of them, through one engine with both cores.
      """)

  @OptionGroup var model: ModelOptions
  @Option(help: "Way of the bytes: shm, tcp.") var path = "shm"
  @Option(help: "Tokens of the prompt.") var tokens = 4096
  @Option(help: "Tokens of the answer of whole requests.") var answer = 128
  @Option(help: "Counted handoffs per mode; 0: none, and no curve.") var repetitions = 20
  @Option(help: "Tokens of each answer that are compared.") var checked = 2
  @Option(help: "Block sizes for the curve over the piece size, comma separated; empty: no curve.")
  var curve = "8,16,32,64"
  @Option(help: "Tokens handed over in each point of the curve.") var curveTokens = 1024
  @Option(help: "Whole requests of each kind; 0: none.") var requests = 1
  @Option(help: "Prompts that are computed in each streaming mode; 0: none.") var streamed = 0
  @Option(help: "Tokens of those prompts.") var streamedTokens = 2048
  @Flag(inversion: .prefixedNo, help: "Keep each engine on a core.") var pinned = true
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func validate() throws {
    guard tokens > 1, answer > 1, repetitions >= 0, checked > 0, curveTokens > 1, requests >= 0, streamed >= 0,
      streamedTokens > 1
    else {
      throw ValidationError(
        "tokens and answers must be at least 2, --checked at least 1, --repetitions, --requests and --streamed at least 0"
      )
    }
    guard UCXConfiguration.Path(rawValue: path) != nil else {
      throw ValidationError("--path is \(path); it must be shm or tcp")
    }
  }

  func run() async throws {
    var found = DisaggregationReport()
    found.curveTokens = curveTokens
    let style = TransferStyleSwitch()
    do {
      let pair = try pair(blockSlots: model.blockSlots, tokens: tokens + answer, style)
      if repetitions > 0 {
        found.transfers = try await transfers(pair, style, tokens: tokens, repetitions: repetitions)
      }
      if streamed > 0 {
        var study = StreamingStudy(pair: pair, style: style, clock: SystemClock())
        study.tokens = min(streamedTokens, tokens)
        study.repetitions = streamed
        study.checkedTokens = checked
        found.streaming = try await study.run()
      }
      if requests > 0 { found.endToEnd = try await wholeRequests(pair) }
    }
    for slots in try LatencyBench.numbers(curve, flag: "--curve") where slots > 0 && repetitions > 0 {
      let pair = try pair(blockSlots: slots, tokens: curveTokens, style)
      found.curve.append(
        try await transfers(pair, style, tokens: curveTokens, repetitions: max(1, repetitions / 2)))
    }
    try plot.write(found.charts)
    try report.write(bench: "disagg", settings: settings, figures: found.figures, table: found.table)
  }

  private var settings: JSONObject {
    var settings = JSONObject()
    settings["model"] = .string(Engine.defaultName(path: model.model))
    settings["path"] = .string(path)
    for (name, count) in [
      ("tokens", tokens), ("answer", answer), ("repetitions", repetitions), ("checked", checked),
      ("block_slots", model.blockSlots), ("requests", requests), ("step_tokens", model.stepTokens),
    ] { settings[name] = JSONValue(count) }
    settings["pinned"] = .bool(pinned)
    settings["engines"] = .string("two in one process, one thread each")
    return settings
  }

  private func engine(
    _ number: Int, blockSlots: Int, tokens: Int, threads: Int = 1, _ style: TransferStyleSwitch
  ) throws -> Engine {
    guard let path = UCXConfiguration.Path(rawValue: path) else { throw ValidationError("--path \(path) is unknown") }
    var one = model
    one.threads = threads
    one.blockSlots = blockSlots
    return try one.load(quiet: report.json) {
      $0.handoff = .local(
        path, processor: pinned && threads == 1 ? number : nil, incarnation: UInt64(number + 1), style: style)
      // Room for several prompts: kept for the receiver, cached, and the one that runs.
      $0.contextLength = 2 * tokens
    }
  }

  private func pair(blockSlots: Int, tokens: Int, _ style: TransferStyleSwitch) throws -> EnginePair {
    EnginePair(
      prefill: try engine(0, blockSlots: blockSlots, tokens: tokens, style),
      decode: try engine(1, blockSlots: blockSlots, tokens: tokens, style))
  }

  private func transfers(
    _ pair: EnginePair, _ style: TransferStyleSwitch, tokens: Int, repetitions: Int
  ) async throws -> [TransferStudyResult] {
    guard let path = UCXConfiguration.Path(rawValue: path) else { return [] }
    var study = TransferStudy(pair: pair, style: style, clock: SystemClock())
    study.tokens = tokens
    study.repetitions = repetitions
    study.checkedTokens = checked
    var probe: TransferProbe?
    return try await study.run { bytes in
      let made = try probe ?? TransferProbe(path: path, byteCount: bytes, processors: pinned ? (0, 1) : nil)
      probe = made
      return try made.measure()
    }
  }

  private func wholeRequests(_ pair: EnginePair) async throws -> [(name: String, samples: [EndToEndSample])] {
    let study = EndToEndStudy(pair: pair, clock: SystemClock())
    let both = try engine(2, blockSlots: model.blockSlots, tokens: tokens + answer, threads: 2, TransferStyleSwitch())
    var ways: [(name: String, samples: [EndToEndSample])] = [
      ("two engines", []), ("one engine, one core", []), ("one engine, both cores", []),
    ]
    for turn in 0..<requests {
      let prompt = pair.prefill.information.randomPrompt(tokens, seed: UInt64(1000 + turn))
      var (sample, expected) = try await study.colocated(prompt, answer: answer, on: pair.prefill)
      ways[1].samples.append(sample)
      var tokens: [TokenID]
      (sample, tokens) = try await study.disaggregated(prompt, answer: answer)
      sample.isRight = sample.isRight && tokens == expected
      ways[0].samples.append(sample)
      (sample, tokens) = try await study.colocated(prompt, answer: answer, on: both)
      sample.isRight = tokens == expected
      ways[2].samples.append(sample)
    }
    return ways
  }
}
