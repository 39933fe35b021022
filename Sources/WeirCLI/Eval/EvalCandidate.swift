// One configuration of a call: its name, its flags, and the call as it reads with them.

import ArgumentParser
import Foundation
import WeirEvaluation

struct EvalCandidate {
  let name: String
  let flags: [String]
  let options: CandidateOptions

  /// Every configuration of a call, one if none is named.
  ///
  /// A configuration's flags are put behind the call's own and read again, so that every switch works, also one that
  /// is added later; the last one wins.
  ///
  /// - Throws: what is wrong with a configuration, under its name.
  static func all(of command: EvalCommand) throws -> [EvalCandidate] {
    let defaultName = EvalCommand.fileName(command.candidate.model.servedName ?? command.candidate.model.model)
    let named = try NamedFlags.all(
      configurations: command.configurations, sweeps: command.compare, defaultName: defaultName)
    return try named.map { entry in
      guard !entry.flags.isEmpty else {
        return EvalCandidate(name: entry.name, flags: [], options: command.candidate)
      }
      if command.url != nil, entry.flags.contains(where: { $0.hasPrefix("-") && !$0.hasPrefix("--question") }) {
        throw ValidationError(
          "configuration \(entry.name): with --url only --question can differ; the server's own flags cannot be set")
      }
      do {
        // Alone first: a flag of the call itself, such as --tasks, would be read but have no effect.
        _ = try CandidateOptions.parse([command.candidate.model.model] + entry.flags)
        let whole = try EvalCommand.parse(try ownArguments() + entry.flags)
        return EvalCandidate(name: entry.name, flags: entry.flags, options: whole.candidate)
      } catch {
        throw ValidationError("configuration \(entry.name): \(CandidateOptions.message(for: error))")
      }
    }
  }

  /// The call's arguments, with those from environment and file, without the configurations.
  private static func ownArguments() throws -> [String] {
    let arguments = try ArgumentSources.merged(
      arguments: Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
    return without(["--configuration", "--compare"], Array(arguments.dropFirst()))
  }

  /// The arguments without these flags and their values.
  private static func without(_ flags: Set<String>, _ arguments: [String]) -> [String] {
    var kept: [String] = []
    var isValue = false
    for argument in arguments {
      if isValue {
        isValue = false
      } else if flags.contains(argument) {
        isValue = true
      } else if !flags.contains(where: { argument.hasPrefix($0 + "=") }) {
        kept.append(argument)
      }
    }
    return kept
  }
}
