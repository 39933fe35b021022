// The executable's entry point: sub-commands and where their settings come from.

import ArgumentParser
import Foundation

@main
struct WeirCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weir",
    abstract: "An LLM inference server in which the KV cache is the first-class citizen.",
    version: WeirVersion.text,
    subcommands: [
      ServeCommand.self, ChatCommand.self, CompleteCommand.self, InspectCommand.self, EvalCommand.self,
      RouteCommand.self, ClusterCommand.self, BenchCommand.self, ExportTokenizerCommand.self,
    ])

  static func main() async {
    do {
      let arguments = try ArgumentSources.merged(
        arguments: Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
      var command = try parseAsRoot(arguments)
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      exit(withError: error)
    }
  }
}

enum WeirVersion {
  static let text = "0.1.0"
}
