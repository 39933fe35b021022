// A chat completion request, decoded and ready to run.

import WeirBasics
import WeirEngine
import WeirText

/// A conversation with everything that shapes the answer; the three chat APIs all become one of these.
struct ChatRequest: Sendable {
  var options: RequestOptions
  var messages: [ChatMessage]
  var tools = ToolSet()
  var addsGenerationPrompt = true
  /// The last message is an unfinished answer that the model goes on with.
  var continuesFinalMessage = false
  /// Puts that unfinished answer in front of the text.
  var echoes = false
  var template: String?
  var templateArguments: [String: JSONValue] = [:]
  /// Splits `<think>` off the answer.
  var splitsReasoning = true

  init(options: RequestOptions, messages: [ChatMessage]) {
    self.options = options
    self.messages = messages
  }

  /// Decodes the body of `/v1/chat/completions`.
  init(_ fields: FieldReader, caller: CallerContext, limits: DecodingLimits) throws(APIError) {
    options = try RequestOptions(fields, caller: caller, limits: limits)
    messages = try MessageFields.read(fields)
    options.generation.maxTokens = try RequestOptions.maxTokens(fields, ["max_completion_tokens", "max_tokens"])
    options.generation.topLogprobs = try ChatRequest.logprobs(fields, limits: limits)
    tools = try ToolSet(fields)
    addsGenerationPrompt = try fields.bool("add_generation_prompt") ?? true
    continuesFinalMessage = try fields.bool("continue_final_message") ?? false
    echoes = try fields.bool("echo") ?? false
    template = try fields.string("chat_template")
    splitsReasoning = try fields.bool("separate_reasoning") ?? true
    if let arguments = try fields.reader("chat_template_kwargs") {
      for (key, value) in arguments.object { templateArguments[key] = value }
    }
    if continuesFinalMessage {
      if try fields.bool("add_generation_prompt") == true {
        throw .invalid(
          "continue_final_message", "continue_final_message and add_generation_prompt exclude each other")
      }
      guard messages.last?.role == "assistant" else {
        throw .invalid("continue_final_message", "the last message must be the assistant's to be continued")
      }
      addsGenerationPrompt = false
    }
    if let audio = fields["modalities"]?.array, audio.contains(where: { $0.string != "text" }) {
      throw .unsupported("modalities", "only text answers are supported")
    }
  }

  private static func logprobs(_ fields: FieldReader, limits: DecodingLimits) throws(APIError) -> Int? {
    let top = try fields.integer("top_logprobs", in: 0...limits.maxLogprobs)
    if let value = fields["logprobs"], let count = value.int {
      // vLLM's clients send a number here.
      guard (0...limits.maxLogprobs).contains(count) else {
        throw .invalid("logprobs", "logprobs is \(count), at most \(limits.maxLogprobs) are given")
      }
      return count
    }
    let wanted = try fields.bool("logprobs") ?? false
    if let top, top > 0, !wanted {
      throw .invalid("top_logprobs", "top_logprobs needs logprobs to be true")
    }
    return wanted ? top ?? 0 : nil
  }
}
