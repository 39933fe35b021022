// What every bench writes: a table for people, one JSON line for machines, with command, commit and machine.

import ArgumentParser
import Foundation
import WeirBasics
import WeirKernels

/// Options that every bench shares.
struct ReportOptions: ParsableArguments {
  @Flag(help: "Print one JSON object instead of a table.") var json = false
  @Option(help: "Append the JSON line to this file, for example results/latency.jsonl.") var results: String?

  /// Prints the measurement, and appends it where asked.
  func write(bench: String, settings: JSONObject, figures: JSONObject, table: String) throws {
    var line = JSONObject()
    line["bench"] = .string(bench)
    line["date"] = .string(ISO8601DateFormatter().string(from: Date()))
    line["command"] = .string(CommandLine.arguments.map(Self.withoutFolder).joined(separator: " "))
    line["commit"] = .string(Self.commit)
    line["machine"] = .string(Self.machine)
    line["settings"] = .object(settings)
    line["figures"] = .object(figures)
    let text = JSONValue.object(line).serialized()
    Terminal.write(json ? text + "\n" : table)
    guard let results else { return }
    if !FileManager.default.fileExists(atPath: results) { try Data().write(to: URL(fileURLWithPath: results)) }
    guard let file = FileHandle(forWritingAtPath: results) else {
      throw ValidationError("--results \(results): the file cannot be written")
    }
    try file.seekToEnd()
    try file.write(contentsOf: Data((text + "\n").utf8))
    try file.close()
  }

  /// Paths are shortened to their last part: results are read on other machines.
  private static func withoutFolder(_ argument: String) -> String {
    argument.hasPrefix("/") || argument.hasPrefix(".")
      ? (argument.split(separator: "/").last.map(String.init) ?? argument) : argument
  }

  private static var commit: String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["git", "describe", "--always", "--dirty"]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return "unknown" }
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return process.terminationStatus == 0 ? text.trimmingCharacters(in: .whitespacesAndNewlines) : "unknown"
  }

  private static var machine: String {
    let cpu =
      (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n")
      .first { $0.hasPrefix("model name") }?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
      ?? "unknown CPU"
    return "\(cpu), \(ProcessInfo.processInfo.activeProcessorCount) cores, \(InstructionSet.best.rawValue)"
  }
}

/// Order statistics of a few repetitions.
struct Samples {
  private(set) var values: [Double] = []

  mutating func add(_ value: Double) { values.append(value) }

  /// The value below which `share` of the samples lie, by nearest rank; 0 without samples.
  func quantile(_ share: Double) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    return sorted[min(sorted.count - 1, Int((Double(sorted.count) * share).rounded(.down)))]
  }

  var median: Double { quantile(0.5) }
}
