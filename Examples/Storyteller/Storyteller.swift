// The smallest program with Weir: load a model, continue a text, stop when the reader has had enough.

import Weir

@main
struct Storyteller {
  static func main() async throws {
    guard CommandLine.arguments.count > 1 else {
      print("usage: Storyteller MODEL.gguf [beginning of a story]")
      return
    }
    let engine = try Engine.load(path: CommandLine.arguments[1])
    let beginning = CommandLine.arguments.count > 2 ? CommandLine.arguments[2] : "Once upon a time"
    print(beginning, terminator: "")
    var options = GenerationOptions(maxTokens: 64)
    options.sampling.temperature = 0
    for try await piece in engine.generate(beginning, options: options) {
      print(piece, terminator: "")
    }
    print()
  }
}
