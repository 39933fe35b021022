// Templates against jinja2 (Tests/Golden/text/make_templates.py).
import Foundation
import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport
import WeirText

@Suite struct ChatTemplateTests {
  static func golden(_ name: String) throws -> JSONValue {
    try JSONValue.parse(utf8: [UInt8](Data(contentsOf: Golden.url("text/" + name))))
  }

  static func variables(_ value: JSONValue) -> [String: JSONValue] {
    var result: [String: JSONValue] = [:]
    for (key, member) in value.object ?? JSONObject() { result[key] = member }
    return result
  }

  /// The output, or the code of the error.
  static func outcome(_ template: String, _ variables: [String: JSONValue]) -> (text: String?, error: TextError?) {
    do {
      return (try ChatTemplate(source: template).render(variables: variables), nil)
    } catch {
      return (nil, error)
    }
  }

  @Test func rendersAsJinjaDoes() throws {
    let golden = try Self.golden("templates.json")
    let conversations = try #require(golden["conversations"]?.array)
    let cases = try #require(golden["cases"]?.array)
    #expect(cases.count > 50)
    for test in cases {
      let source = try #require(test["template"]?.string)
      let results = try #require(test["results"]?.array)
      for (index, result) in results.enumerated() {
        let values: [String: JSONValue] =
          results.count > 1 ? Self.variables(conversations[index]) : ["x": "X", "m": ["k": [1]]]
        let (text, error) = Self.outcome(source, values)
        let label = "\(test["name"]?.string ?? "") \(index): \(results.count > 1 ? "" : source)"
        if let expected = result["expected"]?.string {
          #expect(text == expected, "\(label) \(error?.message ?? "")")
        } else {
          #expect(text == nil, "\(label)")
          if result["error"] == "raised" {
            #expect(error?.code == "template_raised", "\(label)")
            #expect(error?.message == result["message"]?.string, "\(label)")
          }
        }
      }
    }
  }

  @Test(.enabled(if: SharedData.exists("tokenizers/ggml-vocab/templates")))
  func rendersTheTemplatesOfPublishedModelsAsJinjaDoes() throws {
    let conversations = try #require(try Self.golden("templates.json")["conversations"]?.array)
    let shared = try #require(try Self.golden("shared_templates.json").object)
    var rendered = 0
    for (name, results) in shared {
      let url = try #require(SharedData.url("tokenizers/ggml-vocab/templates/" + name))
      let source = try String(contentsOf: url, encoding: .utf8)
      for (index, result) in (results.array ?? []).enumerated() {
        let (text, error) = Self.outcome(source, Self.variables(conversations[index]))
        guard let bytes = result["bytes"]?.int else {
          #expect(text == nil, "\(name) \(index)")
          continue
        }
        rendered += 1
        #expect(text?.utf8.count == bytes, "\(name) \(index) \(error?.message ?? "")")
        #expect(text.map(Self.fnv1a) == result["fnv1a"]?.string, "\(name) \(index)")
      }
    }
    #expect(rendered > 20)
  }

  static func fnv1a(_ text: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  @Test func rendersTheBuiltInTemplates() throws {
    let messages = [
      ChatMessage(role: "system", content: "Be kind."), ChatMessage(role: "user", content: "Hi"),
      ChatMessage(role: "assistant", content: [["type": "text", "text": "Hel"], ["type": "text", "text": "lo"]]),
      ChatMessage(role: "user", content: "More"),
    ]
    let chatML = try ChatTemplate.builtin(named: "chatml").render(messages: messages)
    #expect(
      chatML
        == "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\n"
    )
    let llama = try ChatTemplate.builtin(named: "llama-3", bosToken: "<|begin_of_text|>").render(messages: [messages[1]]
    )
    #expect(
      llama
        == "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    let plain = try ChatTemplate.builtin(named: "plain").render(messages: messages, addGenerationPrompt: true)
    #expect(plain == "Be kind.\n\nUser: Hi\nAssistant: Hello\nUser: More\nAssistant:")
    #expect(throws: TextError.self) { try ChatTemplate.builtin(named: "nonsense") }
  }

  @Test func givesTemplatesToolCallsWithParsedArguments() throws {
    let call: JSONValue = ["id": "1", "type": "function", "function": ["name": "f", "arguments": "{\"a\": 1}"]]
    let text = try ChatTemplate.builtin(named: "chatml").render(
      messages: [ChatMessage(role: "assistant", content: nil, toolCalls: [call])],
      tools: [["type": "function", "function": ["name": "f"]]], addGenerationPrompt: false)
    #expect(text.contains("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call><|im_end|>"))
    #expect(text.contains("<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"f\"}}\n</tools>"))
  }

  @Test func tellsTheTimeOnlyWhenItIsGiven() throws {
    let template = try ChatTemplate(
      source: "{{ strftime_now('%d %b %Y %H:%M:%S %j %A') if strftime_now is defined else 'never' }}")
    #expect(try template.render(variables: [:]) == "never")
    #expect(try template.render(variables: [:], unixTime: 1_709_210_096) == "29 Feb 2024 12:34:56 060 Thursday")
    #expect(try template.render(variables: [:], unixTime: -1) == "31 Dec 1969 23:59:59 365 Wednesday")
  }

  @Test(arguments: [
    "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{{ 'x' * 10000000000 }}", "{{ range(10000000000) }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}", "{{ (['x' * 1000000] * 1) | join }}{{ 9 ** 99 }}",
  ])
  func stopsTemplatesThatWouldNotEnd(_ source: String) {
    #expect(throws: TextError.self) {
      var template = try ChatTemplate(source: source)
      template.limits.steps = 1_000_000
      _ = try template.render(variables: [:])
    }
  }

  @Test func refusesDeepNesting() {
    let parentheses = String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000)
    #expect(throws: TextError.self) { try ChatTemplate(source: "{{ \(parentheses) }}") }
    let blocks = String(repeating: "{% if 1 %}", count: 5000) + String(repeating: "{% endif %}", count: 5000)
    #expect(throws: TextError.self) { try ChatTemplate(source: blocks) }
    let chain = "{{ 1" + String(repeating: " + 1", count: 4000) + " }}"
    #expect(throws: TextError.self) { try ChatTemplate(source: chain).render(variables: [:]) }
    let filters = "{{ 1" + String(repeating: " | abs", count: 4000) + " }}"
    #expect(throws: TextError.self) { try ChatTemplate(source: filters) }
  }
}
