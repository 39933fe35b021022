// weir bench policy-throughput: tokens per second in equal KV memory, full cache against policies.

import ArgumentParser
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies

struct PolicyThroughputBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy-throughput", abstract: "Tokens per second in equal KV memory, with as large a batch as fits.",
    discussion: """
      --kv-memory is the cap of every side. Each side has an engine of its own with that memory, and as many sequences at \
      once as it holds, policy state counted. The sides take turns; medians.
      """)

  @OptionGroup var model: ModelOptions
  @Option(help: "Prompt tokens of each request.") var input = 512
  @Option(help: "Tokens generated for each request.") var output = 512
  @Option(parsing: .upToNextOption, help: "Policies by name, with parameters where wanted.")
  var policies = ["sink-recent:sinks=0", "h2o"]
  @Option(parsing: .upToNextOption, help: "Budgets: shares of the prompt (20%) or slots of a lane (256).")
  var budgets = ["20%"]
  @Option(help: "Tokens between two cuts of a prompt.") var chunk = 128
  @Option(help: "Measurements of each side.") var repetitions = 3
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func validate() throws {
    guard input > 0, output > 1, repetitions > 0, chunk > 0, model.kvMemory != nil else {
      throw ValidationError(
        "--kv-memory must be given, --input, --chunk and --repetitions must be at least 1, --output at least 2")
    }
    _ = try sides()
  }

  func run() async throws {
    let (bench, catalogue) = (PolicyThroughput(input: input, output: output), KVPolicyCatalogue())
    let engines = try sides().map { side in
      // Its own engine each: the peak of its pool is the side's own.
      (side, try model.load(policy: try PolicyOptions.parse([]), quiet: report.json))
    }
    var results = try engines.map { side, engine in
      ThroughputResult(
        side: side, batch: try bench.batch(of: side, policies: catalogue, information: engine.information),
        foreseenSlots: try bench.foreseenSlots(of: side, policies: catalogue, information: engine.information))
    }
    for repetition in 0..<repetitions {
      for (place, (side, engine)) in engines.enumerated() {
        results[place].samples.append(
          try await bench.run(
            side, batch: results[place].batch, engine: engine, clock: SystemClock(), seed: UInt64(repetition + 1)))
        let pool = await engine.status().pool
        results[place].peakPoolBytes = pool.peakUsedBlocks * pool.blockBytes
      }
    }
    guard let information = engines.first?.1.information, let shape = information.kvShape else { return }
    let summary = ThroughputReport(
      results: results, capBytes: information.totalBlocks * shape.blockBytes,
      slotBytes: shape.keyRowBytes + shape.valueRowBytes)
    try plot.write(summary.charts)
    try report.write(
      bench: "policy-throughput",
      settings: [
        "model": .string(EvalCommand.fileName(model.model)), "input": JSONValue(input), "output": JSONValue(output),
        "chunk": JSONValue(chunk), "threads": JSONValue(information.threads),
        "key_type": .string(information.keyType.rawValue), "value_type": .string(information.valueType.rawValue),
        "kernels": .string(information.instructionSet), "step_tokens": JSONValue(information.stepTokens),
        "block_slots": JSONValue(information.blockSlots),
      ], figures: summary.figures, table: summary.table)
  }

  private func sides() throws -> [ThroughputSide] {
    var sides = [ThroughputSide(policy: "full", budget: nil, request: nil)]
    for policy in policies {
      for budget in budgets {
        sides.append(
          ThroughputSide(
            policy: policy, budget: budget,
            request: try KVPolicyRequest(
              candidate: policy, budget: try KVPolicyRequest.Budget(flag: budget), chunk: "\(chunk)")))
      }
    }
    return sides
  }
}
