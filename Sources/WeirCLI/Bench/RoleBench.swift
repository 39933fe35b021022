// weir bench roles: static roles against flexible ones and against none, on two real engines.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirCluster
import WeirEngine
import WeirEvaluation
import WeirKVTransfer
import WeirPolicies

struct RoleBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "roles",
    abstract: "Two engines on a core each: one prefills and one decodes, roles that follow the load, no roles.",
    discussion: """
      The same requests with the same number in flight run in every setup in turn; answers are compared between setups. \
      static: one engine prefills, the other decodes. flexible: the same homes, roles changed by the load-aware plan. \
      colocated: requests go to both in turn and stay there, no KV travels. The router's and the plan's code is the server's; engines share a process.
      """)

  @OptionGroup var model: ModelOptions
  @Option(help: "Way of the bytes: shm, tcp.") var path = "shm"
  @Option(help: "Prompt and answer tokens of the mixes, comma separated.") var mixes = "2048/16,64/256,512/64"
  @Option(help: "Requests of each run.") var requests = 24
  @Option(help: "Requests open at once.") var inFlight = 8
  @Option(help: "Runs of each setup and mix.") var rounds = 1
  @Option(help: "Afterwards, flexible roles under mixes that change, until so many flips; 0: not.") var flips = 0
  @Flag(inversion: .prefixedNo, help: "Keep each engine on a core.") var pinned = true
  @OptionGroup var plot: PlotOptions
  @OptionGroup var report: ReportOptions

  func validate() throws {
    _ = try parsedMixes()
    guard requests > 0, inFlight > 0, rounds >= 0, flips >= 0 else {
      throw ValidationError("--requests and --in-flight must be at least 1, --rounds and --flips at least 0")
    }
    guard UCXConfiguration.Path(rawValue: path) != nil else {
      throw ValidationError("--path is \(path); it must be shm or tcp")
    }
  }

  private func parsedMixes() throws -> [RequestMix] {
    let all = mixes.split(separator: ",").map { part in
      let counts = part.split(separator: "/").compactMap { Int($0) }.filter { $0 > 0 }
      return counts.count == 2
        ? RequestMix(name: String(part), promptTokens: counts[0], answerTokens: counts[1]) : nil
    }
    guard !all.isEmpty, !all.contains(nil) else {
      throw ValidationError("--mixes is \(mixes); it must be like 2048/16,64/256")
    }
    return all.compactMap { $0 }
  }

  func run() async throws {
    let mixes = try parsedMixes()
    var study = RoleStudy(
      engines: [try engine(0, mixes), try engine(1, mixes)], routing: LoadAware(), clock: SystemClock())
    study.inFlight = inFlight
    let setups = [
      RoleSetup(name: "static", homes: [.prefill, .decode], plan: StaticRoles()),
      RoleSetup(name: "flexible", homes: [.prefill, .decode], plan: LoadAwareRoles()),
      RoleSetup(name: "colocated", homes: [.mixed, .mixed], plan: StaticRoles(), routing: RoundRobin()),
    ]
    var found = RoleReport()
    for mix in mixes {
      var answers: RoleStudy.Answers = [:]
      for _ in 0..<rounds {
        for setup in setups {
          found.results.append(try await study.run(setup, [mix], count: requests, answers: &answers))
        }
      }
    }
    if flips > 0 { found.results += try await changing(study, mixes) }
    try plot.write(found.charts)
    try report.write(bench: "roles", settings: settings, figures: found.figures, table: found.table)
  }

  /// Mixes that change after every batch, under a plan that is quick to flip; then the same requests without roles.
  private func changing(_ study: RoleStudy, _ mixes: [RequestMix]) async throws -> [RoleResult] {
    let quick = LoadAwareRolesConfiguration(
      tickSeconds: 0.05, highThreshold: 0.3, lowThreshold: 0.25, imbalanceTicks: 1, leastFlipTicks: 2,
      longestFlipTicks: 4, releaseThreshold: 0.3, cooldownSeconds: 0.1, relapseSeconds: 0)
    var answers: RoleStudy.Answers = [:]
    let flexible = try await study.run(
      RoleSetup(name: "flexible, quick", homes: [.prefill, .decode], plan: LoadAwareRoles(configuration: quick)),
      mixes, phase: 2 * inFlight, count: requests, leastFlips: flips, mostRequests: 100 * requests, answers: &answers)
    let colocated = try await study.run(
      RoleSetup(name: "colocated", homes: [.mixed, .mixed], plan: StaticRoles(), routing: RoundRobin()), mixes,
      phase: 2 * inFlight,
      count: flexible.requests + flexible.dropped, answers: &answers)
    return [flexible, colocated]
  }

  private func engine(_ number: Int, _ mixes: [RequestMix]) throws -> Engine {
    guard let path = UCXConfiguration.Path(rawValue: path) else { throw ValidationError("--path \(path) is unknown") }
    var one = model
    one.threads = 1
    let longest = mixes.map { $0.promptTokens + $0.answerTokens }.max() ?? 1
    return try one.load(quiet: report.json) {
      $0.handoff = .local(
        path, processor: pinned ? number : nil, incarnation: UInt64(number + 1), style: TransferStyleSwitch())
      $0.contextLength = max($0.contextLength ?? 0, 2 * longest)
    }
  }

  private var settings: JSONObject {
    var settings = JSONObject()
    settings["model"] = .string(Engine.defaultName(path: model.model))
    settings["path"] = .string(path)
    settings["mixes"] = .string(mixes)
    for (name, count) in [("requests", requests), ("in_flight", inFlight), ("rounds", rounds), ("flips", flips)] {
      settings[name] = JSONValue(count)
    }
    settings["pinned"] = .bool(pinned)
    settings["engines"] = .string("two in one process, one thread each")
    return settings
  }
}
