// How a model family writes its tool calls.

/// The ways in which models write tool calls into their text.
public enum ToolCallFormat: String, Sendable, CaseIterable {
  /// `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` (Hermes, Qwen)
  case hermes
  /// The whole answer is `{"name": ..., "parameters": {...}}`, perhaps after `<|python_tag|>` (Llama 3.1)
  case llama
  /// `[TOOL_CALLS] [{"name": ..., "arguments": {...}}, ...]` (Mistral)
  case mistral
  /// The whole answer is one call or an array of calls: what a constraint forces.
  case plain
  /// The text holds no calls.
  case none
}

/// What a stretch of generated text turned out to be.
public enum ToolStreamPiece: Sendable, Equatable {
  case content(String)
  /// A call begins; calls are numbered from 0. The identifier is there if the model wrote one before the arguments.
  case callStarted(index: Int, id: String?, name: String)
  /// More of the arguments' JSON text, as the model wrote it.
  case argumentsDelta(index: Int, String)
  case callFinished(index: Int)
}
