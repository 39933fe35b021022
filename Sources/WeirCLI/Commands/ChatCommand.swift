// weir chat: a conversation in the terminal.

import ArgumentParser
import Foundation
import Weir

struct ChatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat", abstract: "Talk to a model in the terminal. /reset forgets, /exit leaves.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var sampling: SamplingOptions
  @Option(help: "Instructions for the model.") var system: String?
  @Flag(help: "No progress on standard error.") var quiet = false

  func run() async throws {
    let engine = try model.load(quiet: quiet)
    let session = ChatSession(engine: engine, system: system, options: sampling.generation)
    let isTerminal = isatty(STDIN_FILENO) == 1
    if isTerminal { Terminal.write("\(engine.information.modelName), /exit to leave\n") }
    while true {
      if isTerminal { Terminal.write("\n> ") }
      guard let line = readLine() else { break }
      switch line.trimmingCharacters(in: .whitespaces) {
      case "": continue
      case "/exit": return
      case "/reset": await session.reset()
      default:
        for try await piece in try await session.respond(to: line) { Terminal.write(piece) }
        Terminal.write("\n")
      }
    }
  }
}
