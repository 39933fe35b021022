// weir bench: every measurement of the project behind one command.

import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: """
      Measure: latency and throughput of the engine, a server over HTTP, the kernels, KV transfer, disaggregated serving, KV policies; make models to measure.
      """,
    subcommands: [
      LatencyBench.self, ThroughputBench.self, ServeBench.self, KernelBench.self, TransferCommand.self,
      ChurnCommand.self, DisaggregationBench.self, RoleBench.self, PolicyBench.self, PolicyTextBench.self,
      PolicyThroughputBench.self,
      SelectionBench.self, TransferPeerCommand.self, MakeModelCommand.self,
    ])
}
