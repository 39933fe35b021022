// weir bench transfer: what the ways to hand KV to another process cost, side by side.

import ArgumentParser
import Foundation
import WeirBasics
import WeirEvaluation
import WeirKVTransfer

struct TransferCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "transfer",
    abstract: "Hand KV to another process: block and layer-wise calls, staging, blocks, FlowKV's co-runs.",
    discussion: """
      The modes take turns on the same bytes between two processes, every transfer is checked, and the time runs until \
      everything is visible at the receiver. a: one awaited call per block, layer and side. b: the same, 64 in flight. \
      d: gathered, one call, scattered. e: one call per block. f: one call per co-run (FlowKV). raw: as many bytes in \
      one place.
      """)

  @Option(help: "Ways, comma separated: shm, tcp.") var paths = "shm,tcp"
  @Option(help: "Tokens of the sequence.") var tokens = 4096
  @Option(help: "Layers of the model; with the next three: a 1.1B Llama.") var layers = 22
  @Option(help: "KV heads of the model.") var kvHeads = 4
  @Option(help: "Elements of one head.") var headDim = 64
  @Option(help: "Token slots of a block.") var blockSlots = 16
  @Option(help: "Co-runs that mode f moves; `weir bench churn` says how many there are.") var coRuns = 4
  @Option(help: "Counted turns.") var repetitions = 20
  @Option(help: "Block sizes in slots for the curve over the piece size, comma separated; empty: no curve.")
  var curve = "2,4,8,16,32,64"
  @Option(help: "Tokens moved in each point of the curve.") var curveTokens = 1024
  @Flag(inversion: .prefixedNo, help: "Keep both processes on a core each.") var pinned = true
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func run() throws {
    var figures = JSONObject()
    var table = ""
    var charts: [Chart] = []
    for name in paths.split(separator: ",").map(String.init) {
      guard let path = UCXConfiguration.Path(rawValue: name) else {
        throw ValidationError("--paths names \(name); it must be among shm, tcp")
      }
      let results = try measure(path, slots: blockSlots, tokens: tokens, turns: repetitions)
      figures[name] = .object(Self.figures(results))
      table += Self.table(results, name)
      var points: [TransferBenchMode: [LineChart.Point]] = [:]
      for slots in curve.split(separator: ",").compactMap({ Int($0) }) where slots > 0 {
        let point = try measure(path, slots: slots, tokens: curveTokens, turns: max(1, repetitions / 4))
        figures["\(name)_curve_\(slots)"] = .object(Self.figures(point))
        table += Self.table(point, "\(name), \(slots) slots")
        for one in point {
          points[one.mode, default: []].append(
            LineChart.Point(x: Double(one.pieceBytes), y: one.medianSeconds * 1e3))
        }
      }
      guard !points.isEmpty else { continue }
      let series = TransferBenchMode.allCases.compactMap { mode in
        points[mode].map { LineChart.Series(name: mode.rawValue, points: $0) }
      }
      charts.append(
        .line(
          LineChart(
            title: "Transfer of \(curveTokens) tokens over \(name)", xLabel: "bytes of a block, layer and side",
            yLabel: "milliseconds, median", xScale: .powersOfTwo, series: series)))
    }
    try plot.write(charts)
    try report.write(bench: "transfer", settings: settings, figures: figures, table: table)
  }

  private var settings: JSONObject {
    var settings = JSONObject()
    let counts = [
      ("tokens", tokens), ("layers", layers), ("kv_heads", kvHeads), ("head_dim", headDim), ("block_slots", blockSlots),
      ("co_runs", coRuns), ("repetitions", repetitions), ("curve_tokens", curveTokens),
    ]
    for (name, count) in counts { settings[name] = .integer(Int64(count)) }
    settings["pinned"] = .bool(pinned)
    return settings
  }

  private func measure(
    _ path: UCXConfiguration.Path, slots: Int, tokens: Int, turns: Int
  ) throws -> [TransferBenchResult] {
    guard [layers, kvHeads, headDim, slots, tokens, turns, coRuns].allSatisfy({ $0 > 0 }) else {
      throw ValidationError("all counts must be at least 1")
    }
    var configuration = TransferBenchConfiguration(path: path)
    configuration.shape = KVShape(
      layers: layers, kvHeads: kvHeads, headDim: headDim, blockSlots: slots, keyType: .f16, valueType: .f16)
    configuration.tokens = tokens
    configuration.repeats = turns
    configuration.coRuns = coRuns
    configuration.pinned = pinned
    return try TransferBench(
      configuration, executable: URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath(),
      arguments: ["bench", "transfer-peer"]
    ).run()
  }

  private static func figures(_ results: [TransferBenchResult]) -> JSONObject {
    var figures = JSONObject()
    for one in results {
      var mode = JSONObject()
      mode["operations"] = .integer(Int64(one.operations))
      mode["bytes"] = .integer(Int64(one.bytes))
      mode["piece_bytes"] = .integer(Int64(one.pieceBytes))
      mode["median_seconds"] = .number(one.medianSeconds)
      mode["best_seconds"] = .number(one.bestSeconds)
      mode["sender_cpu_seconds"] = .number(one.senderCPUSeconds)
      mode["receiver_cpu_seconds"] = .number(one.receiverCPUSeconds)
      mode["verified"] = .integer(Int64(one.verified))
      figures[one.mode.rawValue] = .object(mode)
    }
    return figures
  }

  private static func table(_ results: [TransferBenchResult], _ name: String) -> String {
    let reference = results.first { $0.mode == .coRuns }?.medianSeconds ?? 0
    var table = "\(name)   calls      MB    median ms     best ms   times f    GB/s   CPU ms sender, receiver\n"
    for one in results {
      table += String(
        format: "  %@ %9d %7.1f %12.3f %11.3f %9.2f %7.2f   %8.2f %8.2f\n",
        one.mode.rawValue.padding(toLength: 4, withPad: " ", startingAt: 0), one.operations, Double(one.bytes) / 1e6,
        one.medianSeconds * 1e3, one.bestSeconds * 1e3, reference > 0 ? one.medianSeconds / reference : 0,
        Double(one.bytes) / max(one.medianSeconds, 1e-9) / 1e9, one.senderCPUSeconds * 1e3,
        one.receiverCPUSeconds * 1e3)
    }
    return table
  }
}

/// The other process of `weir bench transfer`.
struct TransferPeerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "transfer-peer", shouldDisplay: false)

  @Argument(help: "What the sending process wrote.") var word: String

  func run() throws {
    try TransferBenchPeer.run(word: word) { address in Terminal.write(address + "\n") }
  }
}

/// weir bench churn: calls per request after hours of coming and going.
struct ChurnCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "churn",
    abstract: "Calls that handing a request over takes after churn: free list, segments, segments with hints.")

  @Option(help: "Occupancies of both pools, comma separated.") var occupancies = "0.5,0.7,0.9,0.97"
  @Option(help: "Blocks of each pool.") var blocks = 8192
  @Option(help: "Counted requests.") var requests = 4000
  @Option(help: "Seed of lengths and choices.") var seed: UInt64 = 1
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func run() throws {
    let shares = occupancies.split(separator: ",").compactMap { Double($0) }
    guard !shares.isEmpty, shares.allSatisfy({ $0 > 0 && $0 < 1 }), blocks >= 512, requests > 0 else {
      throw ValidationError("occupancies lie between 0 and 1; a pool has at least 512 blocks")
    }
    var study = ChurnStudy()
    study.blockLimit = blocks
    study.requests = requests
    var figures = JSONObject()
    var table = "occupancy  allocator        blocks     mean  median   p90   p99   most\n"
    var points: [ChurnStudy.Allocator: [LineChart.Point]] = [:]
    for share in shares {
      for allocator in ChurnStudy.Allocator.allCases {
        let result = study.run(allocator, occupancy: share, seed: seed)
        var figure = JSONObject()
        figure["mean_runs"] = .number(result.meanRuns)
        figure["mean_blocks"] = .number(result.meanBlocks)
        for (name, count) in [
          ("median_runs", result.medianRuns), ("p90_runs", result.p90Runs), ("p99_runs", result.p99Runs),
          ("most_runs", result.mostRuns), ("requests", result.requests),
        ] { figure[name] = .integer(Int64(count)) }
        figures["\(allocator.rawValue)_\(share)"] = .object(figure)
        points[allocator, default: []].append(LineChart.Point(x: share * 100, y: Double(result.p99Runs)))
        table += String(
          format: "%8.0f %%  %@ %7.1f %8.2f %7d %5d %5d %6d\n", share * 100,
          allocator.rawValue.padding(toLength: 15, withPad: " ", startingAt: 0), result.meanBlocks, result.meanRuns,
          result.medianRuns, result.p90Runs, result.p99Runs, result.mostRuns)
      }
    }
    let series = ChurnStudy.Allocator.allCases.compactMap { allocator in
      points[allocator].map { LineChart.Series(name: allocator.rawValue, points: $0) }
    }
    try plot.write([
      .line(
        LineChart(
          title: "Calls per request after churn, 99th percentile", xLabel: "occupancy, percent", yLabel: "calls",
          series: series))
    ])
    var settings = JSONObject()
    settings["blocks"] = .integer(Int64(blocks))
    settings["seed"] = .integer(Int64(truncatingIfNeeded: seed))
    try report.write(bench: "churn", settings: settings, figures: figures, table: table)
  }
}
