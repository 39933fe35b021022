// Fuzz entry: a chat template from a hostile model file, over a fixed conversation.
// Build: see docs/HOUSE.md (swiftc -sanitize=fuzzer,address -parse-as-library with the module WeirText).
import WeirBasics
import WeirText

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzChatTemplate(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let source = String(decoding: UnsafeBufferPointer(start: data, count: size), as: UTF8.self)
  guard var template = try? ChatTemplate(source: source, bosToken: "<s>", eosToken: "</s>") else { return 0 }
  template.limits.steps = 100_000
  template.limits.outputBytes = 1 << 20
  let messages = [
    ChatMessage(role: "system", content: "Be brief."),
    ChatMessage(role: "user", content: [["type": "text", "text": "Hi"]]),
    ChatMessage(
      role: "assistant", content: nil,
      toolCalls: [["id": "1", "type": "function", "function": ["name": "f", "arguments": "{\"a\": [1, 2.5]}"]]]),
  ]
  _ = try? template.render(messages: messages, tools: [["type": "function", "function": ["name": "f"]]], unixTime: 0)
  return 0
}
