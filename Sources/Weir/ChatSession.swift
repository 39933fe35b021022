// A conversation that remembers itself; its KV stays in the engine's prefix tree between turns.

import WeirBasics
public import WeirEngine
public import WeirText

/// One conversation with a model. Each turn sends the whole history; the engine finds its KV in the prefix tree, so only
/// the new words are computed.
public actor ChatSession {
  private let engine: any TextEngine
  private let options: GenerationOptions
  public private(set) var messages: [ChatMessage]

  /// - Parameters:
  ///   - engine: generates the answers.
  ///   - system: instructions that precede the conversation, if any.
  ///   - options: how long and how answers are generated.
  public init(engine: any TextEngine, system: String? = nil, options: GenerationOptions = GenerationOptions()) {
    self.engine = engine
    self.options = options
    messages = system.map { [ChatMessage(role: "system", content: .string($0))] } ?? []
  }

  /// Adds a user message and streams the answer; the answer joins the history when it is complete.
  ///
  /// - Throws: `TextError` if the model's chat template refuses the conversation or it has none.
  public func respond(to text: String) throws -> AsyncThrowingStream<String, any Error> {
    guard let template = engine.information.chatTemplate else {
      throw EngineError(.invalidRequest, message: "this model has no chat template; use generate(_:) with plain text")
    }
    messages.append(ChatMessage(role: "user", content: .string(text)))
    let prompt = try template.render(messages: messages, tools: nil, addGenerationPrompt: true, extra: [:])
    let tokens = engine.information.tokenizer.encode(prompt, addSpecial: false, parseSpecial: true)
    let pieces = engine.textStream(tokens, options: options)
    return AsyncThrowingStream { continuation in
      let reader = Task {
        var answer = ""
        do {
          for try await piece in pieces {
            answer += piece
            continuation.yield(piece)
          }
          self.remember(answer)
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in reader.cancel() }
    }
  }

  /// Forgets everything but the system message.
  public func reset() { messages.removeAll { $0.role != "system" } }

  private func remember(_ answer: String) {
    messages.append(ChatMessage(role: "assistant", content: .string(answer)))
  }
}
