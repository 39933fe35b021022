// weir bench kernels: what this machine's memory and kernels can do, without a model.

import ArgumentParser
import Foundation
import WeirBasics
import WeirKernels

struct KernelBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "Memory bandwidth and the rate of the matrix products by weight type.")

  @Option(name: [.long, .customShort("t")], help: "Threads (default: all cores).") var threads: Int?
  @Option(help: "Kernels to use: scalar, avx2, avx512, vnni, neon.") var kernels: String?
  @Option(help: "Weight types, comma separated; default: the common ones.") var types = "f16,q8_0,q4_0,q4_K"
  @Flag(help: "Small matrices, to see that everything runs.") var quick = false
  @OptionGroup var report: ReportOptions

  func run() throws {
    let pool = WorkerPool(threads: max(1, threads ?? ProcessInfo.processInfo.activeProcessorCount))
    let context = KernelContext(instructionSet: try kernels.map { try InstructionSet(flag: $0) } ?? .best, pool: pool)
    let bandwidth = KernelProbe.readBandwidth(bytes: quick ? 64 << 20 : 1 << 30, pool: pool)
    var figures = JSONObject()
    figures["read_gigabytes_per_second"] = .number(bandwidth)
    var table = "\(context.instructionSet.rawValue), \(pool.threads) threads\n"
    table += String(format: "memory read                        %8.1f GB/s\n", bandwidth)
    for name in types.split(separator: ",") {
      guard let type = TensorType(name: String(name)) else {
        throw ValidationError("--types names \(name); it must be among \(TensorType.allCases.map(\.name))")
      }
      for (rows, columns, tokens) in shapes {
        let rate = try KernelProbe.productRate(
          type: type, rows: rows, columns: columns, tokens: tokens, context: context)
        let key = "\(type.name)_\(rows)x\(columns)_\(tokens)"
        figures[key + "_gops"] = .number(rate.gigaoperationsPerSecond)
        figures[key + "_gigabytes_per_second"] = .number(rate.gigabytesPerSecond)
        table += String(
          format: "%@ %5d x %5d, %4d tokens  %8.1f GOP/s  %6.1f GB/s (%3.0f %% of memory)\n",
          type.name.padding(toLength: 5, withPad: " ", startingAt: 0), rows, columns, tokens,
          rate.gigaoperationsPerSecond, rate.gigabytesPerSecond, 100 * rate.gigabytesPerSecond / bandwidth)
      }
    }
    var settings = JSONObject()
    settings["threads"] = .integer(Int64(pool.threads))
    settings["kernels"] = .string(context.instructionSet.rawValue)
    try report.write(bench: "kernels", settings: settings, figures: figures, table: table)
  }

  private var shapes: [(rows: Int, columns: Int, tokens: Int)] {
    quick ? [(256, 256, 1), (256, 256, 32)] : [(5632, 2048, 1), (2048, 5632, 1), (5632, 2048, 512), (2048, 5632, 512)]
  }
}
