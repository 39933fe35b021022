// weir bench policies: accuracy against the KV that is kept, policy by policy and budget by budget, in one run.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies

struct PolicyBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policies", abstract: "Exact match against the share of the KV that each policy keeps.",
    discussion: """
      Every policy runs under every budget over the same items, after the full cache. The prompt is cut once: with the \
      question known at its end, where a policy can look at what is asked; with the question unknown at the end of the \
      context, before the question is computed. A policy that names chunk itself (h2o:chunk=256) is cut there as well, so \
      that the prompt is never held whole.

      oracle is told where the facts of an item stand. Items without facts are asked too: name the files accordingly. \
      sink-recent:sinks=0 keeps the newest slots alone, the baseline of the papers.
      """)

  @OptionGroup var model: ModelOptions
  @Option(parsing: .upToNextOption, help: "Task files, JSON Lines.") var tasks: [String]
  @Option(parsing: .upToNextOption, help: "Policies by name, with parameters where wanted (h2o:decay=0.99).")
  var policies = [
    "sink-recent:sinks=0", "sink-recent", "tova", "snapkv", "keydiff", "h2o", "sentencekv", "random", "oracle",
  ]
  @Option(parsing: .upToNextOption, help: "Budgets: shares of the prompt (20%) or slots of a lane (256).")
  var budgets = ["10%", "20%", "50%"]
  @Option(parsing: .upToNextOption, help: "When policies may see the question: known, unknown.")
  var question = ["known", "unknown"]
  @Option(help: "Ask only the first items of each file.") var limit: Int?
  @Option(
    name: .customLong("context-form"),
    help:
      "The context as it is (plain) or without sentences: unpunctuated, one-sentence, code. oracle is told nothing then."
  )
  var contextForm = "plain"
  @Option(name: .customLong("max-answer-tokens"), help: "Most tokens of an answer.") var answerTokens = 32
  @Option(name: .customLong("in-flight"), help: "Items asked at once.") var inFlight = 8
  @Option(name: .customLong("speed-repetitions"), help: "Speed measurements of the longest prompt alone; 0 for none.")
  var speedRepetitions = 0
  @Flag(help: "Also measure how much of the full cache's attention falls on what each policy would keep.")
  var mass = false
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions
  @Flag(help: "No progress on standard error.") var quiet = false

  func validate() throws {
    guard answerTokens > 1, inFlight > 0, speedRepetitions >= 0, limit.map({ $0 > 0 }) ?? true else {
      throw ValidationError(
        "--max-answer-tokens must be at least 2, --in-flight and --limit at least 1, --speed-repetitions at least 0")
    }
    _ = try points()
    _ = try wantedForm()
  }

  private func wantedForm() throws -> ContextForm {
    guard let form = ContextForm(rawValue: contextForm) else {
      let forms = ContextForm.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--context-form is \(contextForm); it must be one of \(forms)")
    }
    return form
  }

  func run() async throws {
    let form = try wantedForm()
    let items = try tasks.flatMap { path in
      let items = try EvalCommand.items(in: path).map { form.applied(to: $0) }
      return limit.map { Array(items.prefix($0)) } ?? items
    }
    let engine = try model.load(policy: try PolicyOptions.parse([]), quiet: quiet || report.json)
    let study = PolicyStudy(engine: engine, clock: SystemClock(), maxTokens: answerTokens, inFlight: inFlight)
    var results: [PolicyResult] = []
    for point in try points() {
      let label = [point.policy, point.budget, point.budget == nil ? nil : point.timing.rawValue].compactMap { $0 }
      let bar = ProgressBar(label: label.joined(separator: " "), isQuiet: quiet || report.json)
      results.append(
        try await study.result(at: point, items) { bar.update(Double($0) / Double(items.count)) })
      bar.finish()
    }
    if speedRepetitions > 0, let longest = Self.longest(items, results) {
      try await study.measureSpeeds(
        of: longest, &results, repetitions: speedRepetitions, decodeTokens: answerTokens)
    }
    if mass { try await measureMass(items, &results) }
    let shape = engine.information.kvShape
    let summary = PolicyReport(
      items: items, results: results, slotBytes: shape.map { $0.keyRowBytes + $0.valueRowBytes } ?? 0)
    for failure in Set(results.flatMap(\.failures)).sorted().prefix(5) {
      Terminal.writeError("not answered: \(failure)\n")
    }
    try plot.write(summary.charts)
    try report.write(
      bench: "policies", settings: settings(engine, items), figures: summary.figures, table: summary.table)
    if results.contains(where: { !$0.failures.isEmpty }) { throw ExitCode.failure }
  }

  /// In an engine of its own, whose policies only look on.
  private func measureMass(_ items: [TaskItem], _ results: inout [PolicyResult]) async throws {
    let log = MassLog()
    let engine = try model.load(quiet: true) {
      $0.policies = OnlookingPolicies(base: KVPolicyCatalogue(), log: log)
    }
    let study = PolicyStudy(engine: engine, clock: SystemClock(), maxTokens: answerTokens, inFlight: inFlight)
    for place in results.indices where results[place].point.budget != nil {
      _ = try await study.result(at: results[place].point, items)
      results[place].retainedMass = log.take()
    }
  }

  /// The full cache, then every policy under every budget.
  private func points() throws -> [PolicyPoint] {
    var points = [PolicyPoint(policy: "full", budget: nil, timing: .known) { _ in nil }]
    for name in question {
      guard let timing = QuestionTiming(rawValue: name) else {
        throw ValidationError("--question is \(name); it must be known, unknown or both")
      }
      // The full cache is there already.
      for policy in policies where policy != KVPolicyKey.full.rawValue {
        for budget in budgets { points.append(try point(policy, budget, timing)) }
      }
    }
    return points
  }

  private func point(_ policy: String, _ text: String, _ timing: QuestionTiming) throws -> PolicyPoint {
    let plain = try KVPolicyRequest(candidate: policy, budget: try KVPolicyRequest.Budget(flag: text), chunk: "end")
    let (request, isTold) = (plain, policy == KVPolicyKey.oracle.rawValue)
    return PolicyPoint(policy: policy, budget: text, timing: timing) { item in
      guard isTold, !item.factSpans.isEmpty else { return request }
      let spans = item.factSpans.map { "\($0.lowerBound)-\($0.upperBound)" }
      return request.adding("spans", spans.joined(separator: "+"))
    }
  }

  private static func longest(_ items: [TaskItem], _ results: [PolicyResult]) -> TaskItem? {
    zip(items, results.first?.outcomes ?? []).filter { $1.answer != nil }
      .max { ($0.1.answer?.promptTokens ?? 0) < ($1.1.answer?.promptTokens ?? 0) }?.0
  }

  private func settings(_ engine: Engine, _ items: [TaskItem]) -> JSONObject {
    let information = engine.information
    return [
      "model": .string(EvalCommand.fileName(model.model)),
      "tasks": .array(tasks.map { .string(EvalCommand.fileName($0)) }), "items": JSONValue(items.count),
      "max_answer_tokens": JSONValue(answerTokens), "in_flight": JSONValue(inFlight),
      "context_form": .string(contextForm),
      "key_type": .string(information.keyType.rawValue), "value_type": .string(information.valueType.rawValue),
      "block_slots": JSONValue(information.blockSlots), "threads": JSONValue(information.threads),
      "kernels": .string(information.instructionSet), "step_tokens": JSONValue(information.stepTokens),
    ]
  }
}
