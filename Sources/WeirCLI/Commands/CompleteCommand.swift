// weir complete: continue a text in the terminal.

import ArgumentParser
import Foundation
import Weir
import WeirEngine

struct CompleteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "complete", abstract: "Continue a text. Reads the prompt from standard input if none is given.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var sampling: SamplingOptions
  @Option(name: .shortAndLong, help: "The text to continue.") var prompt: String?
  @Flag(help: "Print one JSON object with text, usage and timings instead of streaming.") var json = false
  @Flag(help: "No progress on standard error.") var quiet = false

  func run() async throws {
    let text = prompt ?? String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
    guard !text.isEmpty else { throw ValidationError("the prompt is empty; give --prompt or text on standard input") }
    let engine = try model.load(quiet: quiet || json)
    let options = sampling.generation
    var request = GenerationRequest(id: RequestID("cli"), prompt: engine.information.tokenizer.encode(text))
    request.maxTokens = options.maxTokens ?? 256
    request.sampling = options.sampling
    request.seed = options.seed
    request.stopStrings = options.stopStrings
    var answer = ""
    for try await event in engine.generate(request) {
      switch event {
      case .token(let token): emit(token.text, to: &answer)
      case .finished(let end): emit(end.text, to: &answer)
      case .done(let usage): report(usage, answer)
      case .admitted: break
      }
    }
  }

  private func emit(_ text: String, to answer: inout String) {
    answer += text
    if !json { Terminal.write(text) }
  }

  private func report(_ usage: UsageReport, _ answer: String) {
    if json {
      let object: JSONValue = [
        "text": .string(answer), "prompt_tokens": .integer(Int64(usage.promptTokens)),
        "completion_tokens": .integer(Int64(usage.completionTokens)),
        "cached_tokens": .integer(Int64(usage.cachedTokens)), "prefill_seconds": .number(usage.prefillSeconds),
        "decode_seconds": .number(usage.decodeSeconds),
      ]
      Terminal.write(object.serialized() + "\n")
    } else {
      Terminal.write("\n")
      guard !quiet else { return }
      let rate = usage.decodeSeconds > 0 ? Double(usage.completionTokens - 1) / usage.decodeSeconds : 0
      Terminal.writeError(
        String(
          format: "%d prompt tokens in %.2f s, %d tokens at %.1f tokens/s\n", usage.promptTokens, usage.prefillSeconds,
          usage.completionTokens, rate))
    }
  }
}
