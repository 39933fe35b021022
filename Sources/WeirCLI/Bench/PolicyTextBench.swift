// weir bench policy-text: perplexity of a text under KV policies, without a look into the future.

import ArgumentParser
import Foundation
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies

struct PolicyTextBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy-text", abstract: "Perplexity of a text when a policy keeps a part of its KV.",
    discussion: """
      Windows of the text begin half a window apart, and the second half of each is scored. steps: the first half is the \
      prompt, every later token is computed as if it had been generated. chunks: the whole window is a prompt that is cut \
      every --chunk tokens. Shares are shares of the window. With --documents every document is a window of its own, and \
      the perplexity of its answers is told beside that of its whole second half.
      """)

  @OptionGroup var model: ModelOptions
  @Option(help: "A text file.") var text: String?
  @Option(help: "A file of documents, one JSON object a line, in place of a text.") var documents: String?
  @Option(help: "Tokens of a window, even.") var window = 512
  @Option(help: "Most tokens to score.") var tokens: Int?
  @Option(parsing: .upToNextOption, help: "Policies by name, with parameters where wanted.")
  var policies = ["sink-recent:sinks=0", "sink-recent", "tova", "snapkv", "keydiff", "h2o", "random"]
  @Option(parsing: .upToNextOption, help: "Budgets: shares of the window (20%) or slots of a lane (256).")
  var budgets = ["10%", "20%", "50%"]
  @Option(parsing: .upToNextOption, help: "How the text meets the policy: steps, chunks.")
  var cadences = ["steps", "chunks"]
  @Option(help: "Tokens between two cuts of a prompt.") var chunk = 64
  @Option(name: .customLong("in-flight"), help: "Windows at once.") var inFlight = 8
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func validate() throws {
    guard inFlight > 0, chunk > 0, tokens.map({ $0 > 0 }) ?? true else {
      throw ValidationError("--in-flight, --chunk and --tokens must be at least 1")
    }
    guard (text == nil) != (documents == nil) else {
      throw ValidationError("give one of --text and --documents")
    }
    guard documents == nil || tokens == nil else {
      throw ValidationError("--tokens is for --text; of every document the second half of its window is scored")
    }
    _ = try points()
  }

  func run() async throws {
    let engine = try model.load(policy: try PolicyOptions.parse([]), quiet: report.json)
    let windows = try windows(engine.information)
    func answers(_ score: PolicyText.Score) -> Perplexity? { documents == nil ? nil : score.answers }
    let full = try await windows.score(engine: engine, policy: nil, cadence: .chunks, inFlight: inFlight)
    var results = [
      PolicyTextResult(policy: "full", perplexity: full.all, answers: answers(full), slots: full.slots)
    ]
    for point in try points() {
      let score = try await windows.score(
        engine: engine, policy: point.request, cadence: point.cadence, inFlight: inFlight)
      results.append(
        PolicyTextResult(
          policy: point.policy, budget: point.budget, cadence: point.cadence, perplexity: score.all,
          answers: answers(score), slots: score.slots))
    }
    let summary = PolicyTextReport(results: results, window: window)
    try plot.write(summary.charts)
    try report.write(
      bench: "policy-text",
      settings: [
        "model": .string(EvalCommand.fileName(model.model)),
        "text": .string(EvalCommand.fileName(text ?? documents ?? "")),
        "window": JSONValue(window), "chunk": JSONValue(chunk),
        "key_type": .string(engine.information.keyType.rawValue),
        "value_type": .string(engine.information.valueType.rawValue),
        "kernels": .string(engine.information.instructionSet),
      ], figures: summary.figures, table: summary.table)
  }

  private func windows(_ information: EngineInformation) throws -> PolicyText {
    if let documents {
      guard let content = FileManager.default.contents(atPath: documents) else {
        throw ValidationError("--documents \(documents): the file cannot be read")
      }
      return try PolicyText(
        documents: try TextDocument.parse(utf8: Array(content), name: EvalCommand.fileName(documents)),
        information: information, window: window)
    }
    guard let text, let content = try? String(contentsOfFile: text, encoding: .utf8) else {
      throw ValidationError("--text \(text ?? ""): the file cannot be read as UTF-8")
    }
    return try PolicyText(content, information: information, window: window, tokenLimit: tokens)
  }

  private typealias Point = (policy: String, budget: String, cadence: TextCadence, request: KVPolicyRequest)

  private func points() throws -> [Point] {
    var points: [Point] = []
    for name in cadences {
      guard let cadence = TextCadence(rawValue: name) else {
        throw ValidationError("--cadences has \(name); it must be steps, chunks or both")
      }
      for policy in policies {
        for budget in budgets {
          var slots = try KVPolicyRequest.Budget(flag: budget)
          if case .ratio(let share) = slots {
            slots = .slots(max(KVPolicyCatalogue.slotsMin, Int((share * Double(window)).rounded())))
          }
          points.append(
            (
              policy, budget, cadence,
              try KVPolicyRequest(
                candidate: policy, budget: slots, chunk: cadence == .steps ? "end" : "\(chunk)")
            ))
        }
      }
    }
    return points
  }
}
