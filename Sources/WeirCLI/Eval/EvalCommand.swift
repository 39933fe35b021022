// weir eval: exact match, perplexity, speed and KV memory of one or more configurations over the same items.

import ArgumentParser
import Foundation
import WeirBasics
import WeirEvaluation

/// What may differ between configurations.
struct CandidateOptions: ParsableArguments {
  @OptionGroup var model: ModelOptions
  @OptionGroup var policy: PolicyOptions
  @Option(
    help: "known: context and question at once; unknown: the context is prefilled before the question comes.",
    transform: Self.timing)
  var question = QuestionTiming.known

  private static func timing(_ text: String) throws -> QuestionTiming {
    guard let timing = QuestionTiming(rawValue: text) else {
      throw ValidationError("--question is \(text); it must be known or unknown")
    }
    return timing
  }
}

struct EvalCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measure answers: exact match by tag, perplexity, speed and KV memory, side by side.",
    discussion: """
      Task files hold one JSON object a line: id, messages (or prompt), answers and/or all_of, question, tags. An \
      answer is cut at its first newline; a value must appear in it as whole words, whatever the case. \
      With --url, MODEL is the name that the server is asked for.

      --configuration "q8: --kv-cache-dtype q8_0" (repeatable) adds flags to those of the call, --compare \
      kv-cache-dtype=f16,q8_0 makes a configuration of every value. All engines stay loaded until the end, because \
      speeds are measured in turns.
      """)

  @OptionGroup var candidate: CandidateOptions
  @Option(parsing: .upToNextOption, help: "Task files, JSON Lines.") var tasks: [String] = []
  @Option(help: "Ask only the first items of all files together.") var limit: Int?
  @Option(name: .customLong("max-answer-tokens"), help: "Most tokens of an answer.") var answerTokens = 32
  @Option(name: .customLong("in-flight"), help: "Items asked at once.") var inFlight = 8
  @Option(help: "Upper ends of the bins of numeric tags, comma separated (default: powers of two).") var bins: String?
  @Option(help: "Ask the OpenAI server at this address instead of loading the model.") var url: String?
  @Option(name: .customLong("api-key"), help: "The key to show to the server.") var key: String?
  @Option(help: "A text file to score: perplexity and bits per byte.") var text: String?
  @Option(name: .customLong("text-tokens"), help: "Score only the text's first tokens.") var textTokens: Int?
  @Option(help: "Tokens of the text computed together (default: 1024, or what the context allows).") var window: Int?
  @Option(name: .customLong("speed-repetitions"), help: "Speed measurements of one sequence alone; 0 for none.")
  var speedRepetitions = 3
  @Option(
    name: .customLong("configuration"), parsing: .unconditionalSingleValue,
    help: "A configuration to compare, \"name: --flag value ...\"; may be given several times.")
  var configurations: [String] = []
  @Option(help: "flag=value,value: one configuration for every value; several make every combination.")
  var compare: [String] = []
  @Option(name: .customLong("require"), help: "Fail unless this holds, for example \"facts-1k>=0.95\" or \"all>=90%\".")
  var requirements: [String] = []
  @Option(help: "Write all figures and every answer to this JSON file.") var output: String?
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions
  @Flag(help: "No progress on standard error.") var quiet = false

  func validate() throws {
    guard !tasks.isEmpty || text != nil else {
      throw ValidationError("there is nothing to measure; give --tasks or --text")
    }
    guard answerTokens > 0, inFlight > 0, speedRepetitions >= 0, limit.map({ $0 > 0 }) ?? true,
      textTokens.map({ $0 > 1 }) ?? true
    else {
      throw ValidationError(
        "--max-answer-tokens, --in-flight and --limit must be at least 1, --text-tokens at least 2, "
          + "--speed-repetitions at least 0")
    }
    guard url == nil || text == nil else { throw ValidationError("--text is measured in-process; leave --url out") }
    _ = try numberBins()
    for text in requirements { _ = try Gate(text) }
  }

  func run() async throws {
    let gates = try requirements.map { try Gate($0) }
    let items = try readItems()
    let candidates = try EvalCandidate.all(of: self)
    let results =
      if let url { try await measure(candidates, items, url: url) } else { try await measure(candidates, items) }
    let report = EvaluationReport(items: items, results: results, bins: try numberBins())
    for result in results {
      for failure in Set(result.failures).sorted().prefix(5) {
        Terminal.writeError("\(result.name): not answered: \(failure)\n")
      }
    }
    if let output { try write(report, to: output) }
    try plot.write(report.charts)
    try self.report.write(bench: "eval", settings: settings(items), figures: report.figures, table: report.table)
    let broken = try report.broken(gates)
    for sentence in broken { Terminal.writeError("\(sentence)\n") }
    if !broken.isEmpty || results.contains(where: { !$0.failures.isEmpty }) { throw ExitCode.failure }
  }

  private func readItems() throws -> [TaskItem] {
    var items: [TaskItem] = []
    for path in tasks { items += try Self.items(in: path) }
    return limit.map { Array(items.prefix($0)) } ?? items
  }

  /// The items of a task file.
  static func items(in path: String) throws -> [TaskItem] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ValidationError("--tasks \(path): the file cannot be read")
    }
    return try TaskFile.parse(utf8: [UInt8](data), name: path)
  }

  private func numberBins() throws -> NumberBins {
    guard let bins else { return .powersOfTwo }
    guard let bounds = NumberBins(upTo: try LatencyBench.numbers(bins, flag: "--bins")) else {
      throw ValidationError("--bins \(bins) must ascend from at least 1")
    }
    return bounds
  }

  private func settings(_ items: [TaskItem]) -> JSONObject {
    var settings: JSONObject = [
      "tasks": .array(tasks.map { .string(Self.fileName($0)) }), "items": JSONValue(items.count),
      "max_answer_tokens": JSONValue(answerTokens), "in_flight": JSONValue(inFlight),
    ]
    settings["model"] = .string(Self.fileName(candidate.model.model))
    if let text { settings["text"] = .string(Self.fileName(text)) }
    if text != nil, let window { settings["window"] = JSONValue(window) }
    if url != nil { settings["over_http"] = true }
    return settings
  }

  /// Results are read on other machines: no folders.
  static func fileName(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

  private func write(_ report: EvaluationReport, to path: String) throws {
    var object: JSONObject = ["eval": .object(settings(report.items))]
    for (key, value) in report.full { object[key] = value }
    do {
      let text = JSONValue.object(object).serialized(indent: 1) + "\n"
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    } catch {
      throw ValidationError("--output \(path): the file cannot be written")
    }
  }
}
