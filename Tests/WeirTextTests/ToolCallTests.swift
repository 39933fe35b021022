// Tool calls and reasoning in streamed text.
import Testing
import WeirBasics
import WeirText

/// Pieces with their deltas joined, which is what must not depend on the chunks.
struct JoinedPieces: Equatable {
  var content = ""
  var calls: [String] = []
  var arguments: [String] = []
  var finished: [Int] = []

  init(_ pieces: [ToolStreamPiece]) {
    for piece in pieces {
      switch piece {
      case .content(let text): content += text
      case .callStarted(let index, let id, let name):
        calls.append("\(index) \(id ?? "-") \(name)")
        arguments.append("")
      case .argumentsDelta(_, let text):
        if !arguments.isEmpty { arguments[arguments.count - 1] += text }
      case .callFinished(let index): finished.append(index)
      }
    }
  }
}

@Suite struct ToolCallTests {
  static func whole(_ text: String, _ format: ToolCallFormat) -> JoinedPieces {
    var parser = ToolCallParser(format: format)
    return JoinedPieces(parser.append(text) + parser.finish())
  }

  @Test func readsHermesCalls() {
    let text =
      "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"Köln \\\"}\\\"\", \"n\": [1, {}]}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"
    let result = Self.whole(text, .hermes)
    #expect(result.content == "Let me see.\n")
    #expect(result.calls == ["0 - weather", "1 - now"])
    #expect(result.arguments == ["{\"place\": \"Köln \\\"}\\\"\", \"n\": [1, {}]}", "{}"])
    #expect(result.finished == [0, 1])
  }

  @Test func passesOnArgumentsWhileTheyCome() {
    var parser = ToolCallParser(format: .hermes)
    #expect(parser.append("a <tool") == [.content("a ")])
    #expect(parser.append("_call>{\"name\": \"f") == [])
    #expect(
      parser.append("\", \"arguments\": {\"a\"") == [
        .callStarted(index: 0, id: nil, name: "f"), .argumentsDelta(index: 0, "{\"a\""),
      ])
    #expect(parser.append(": 1}}") == [.argumentsDelta(index: 0, ": 1}"), .callFinished(index: 0)])
    #expect(parser.append("</tool_call>") == [])
    #expect(parser.finish() == [])
  }

  @Test func readsArgumentsThatComeBeforeTheName() {
    let result = Self.whole("<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f\", \"x\": 1}</tool_call>bye", .hermes)
    #expect(result.calls == ["0 - f"])
    #expect(result.arguments == ["{\"a\": 1}"])
    #expect(result.content == "bye")
  }

  @Test func readsLlamaCalls() {
    let bare = Self.whole("{\"name\": \"f\", \"parameters\": {\"q\": \"x\"}}", .llama)
    #expect(bare.calls == ["0 - f"] && bare.arguments == ["{\"q\": \"x\"}"] && bare.content == "")
    let tagged = Self.whole(
      "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}}", .llama)
    #expect(tagged.calls == ["0 - f", "1 - g"] && tagged.finished == [0, 1] && tagged.content == "")
    #expect(Self.whole("{\"answer\": 42} is JSON", .llama).content == "{\"answer\": 42} is JSON")
    #expect(Self.whole("Use {\"name\": \"f\"} so", .llama).content == "Use {\"name\": \"f\"} so")
  }

  @Test func readsMistralCalls() {
    let text =
      "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"id\": \"abc\"}, {\"id\": \"def\", \"name\": \"g\", \"arguments\": \"{\\\"b\\\": 2}\"}]"
    let result = Self.whole(text, .mistral)
    #expect(result.calls == ["0 - f", "1 def g"])
    #expect(result.arguments == ["{\"a\": 1}", "{\"b\": 2}"])
    #expect(result.content == "")
  }

  @Test func readsForcedCalls() {
    let one = Self.whole("{\"name\": \"f\", \"arguments\": {\"a\": [1, 2]}}", .plain)
    #expect(one.calls == ["0 - f"] && one.arguments == ["{\"a\": [1, 2]}"])
    let two = Self.whole(" [{\"name\": \"f\", \"parameters\": {}}, {\"name\": \"g\"}]\n", .plain)
    #expect(two.calls == ["0 - f", "1 - g"] && two.arguments == ["{}", "{}"] && two.content == "")
  }

  @Test func givesBackWhatIsNoCall() {
    #expect(Self.whole("a < b <tool and <tool_call> later", .hermes).content == "a < b <tool and <tool_call> later")
    #expect(Self.whole("x <tool_call>{\"nam", .hermes).content == "x <tool_call>{\"nam")
    #expect(Self.whole("<tool_cal", .hermes).content == "<tool_cal")
    #expect(Self.whole("see [TOOL_CALLS] x", .mistral).content == "see [TOOL_CALLS] x")
    #expect(Self.whole("<tool_call>x", .none).content == "<tool_call>x")
    let broken = Self.whole("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": ", .hermes)
    #expect(broken.calls == ["0 - f"] && broken.finished == [] && broken.arguments == ["{\"a\": "])
  }

  static let samples: [(ToolCallFormat, String)] = [
    (
      .hermes,
      "Grüße 🦙 <tool_call>\n{\"name\": \"wétter\", \"arguments\": {\"p\": \"🦙 \\u00e9 \\\\\"}}\n</tool_call>\n<tool_call>{\"arguments\": \"{}\", \"name\": \"g\"}</tool_call> <b>"
    ),
    (.hermes, "<<tool_call>{}</tool_call> <tool_call>{\"name\": 1}"),
    (.llama, " \n{\"name\": \"f\", \"parameters\": {\"a\": {\"b\": [\"]}\"]}}} tail"),
    (.llama, "text <|python_tag|>{\"name\":\"f\",\"parameters\":{\"ä\":1.5e3}};{\"name\":\"g\",\"parameters\":null}"),
    (.mistral, "ok [TOOL_CALLS][{\"name\":\"f\",\"arguments\":{\"ü\":true}},{\"name\":\"g\",\"arguments\":{}}]</s>"),
    (.plain, "[{\"name\":\"f\",\"arguments\":{\"k\":\"v,}\"}},{\"name\":\"g\",\"arguments\":7}]"),
  ]

  @Test(arguments: 0..<200)
  func piecesDoNotDependOnTheChunks(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    for (format, text) in Self.samples {
      var parser = ToolCallParser(format: format)
      var pieces: [ToolStreamPiece] = []
      var rest = text.unicodeScalars[...]
      while !rest.isEmpty {
        let length = Int.random(in: 1...6, using: &generator)
        pieces += parser.append(String(rest.prefix(length)))
        rest = rest.dropFirst(length)
      }
      pieces += parser.finish()
      #expect(JoinedPieces(pieces) == Self.whole(text, format), "seed \(seed): \(text)")
    }
  }

  @Test func knowsTheFormatOfATemplate() throws {
    #expect(ToolCallParser.format(for: try ChatTemplate(source: "{{ '[TOOL_CALLS]' }}")) == .mistral)
    #expect(ToolCallParser.format(for: try ChatTemplate.builtin(named: "chatml")) == .hermes)
    #expect(ToolCallParser.format(for: try ChatTemplate(source: "{{ '<|python_tag|>' }}")) == .llama)
  }

  // MARK: reasoning

  static func reasoning(_ chunks: [String], startsInside: Bool = false) -> [String] {
    var parser = ReasoningParser(startsInside: startsInside)
    var result = ["", ""]
    for piece in chunks.flatMap({ parser.append($0) }) + parser.finish() {
      switch piece {
      case .reasoning(let text): result[0] += text
      case .content(let text): result[1] += text
      }
    }
    return result
  }

  @Test func tellsReasoningFromTheAnswer() {
    #expect(
      Self.reasoning(["<think>\nso <b> \n\nthen\n</think>\n\nAnswer </think>"]) == [
        "so <b> \n\nthen", "Answer </think>",
      ])
    #expect(Self.reasoning(["hm</think>yes"], startsInside: true) == ["hm", "yes"])
    #expect(Self.reasoning([" plain <think>x</think>"]) == ["", " plain <think>x</think>"])
    #expect(Self.reasoning(["<think>cut off </thi"]) == ["cut off </thi", ""])
    #expect(Self.reasoning(["<think>\n\n</think>\n\nA\n"]) == ["", "A\n"])
    #expect(ReasoningParser.startsInside(prompt: "<|im_start|>assistant\n<think>\n"))
    #expect(!ReasoningParser.startsInside(prompt: "<think>\n\n</think>\n\n"))
  }

  @Test(arguments: 0..<200)
  func reasoningDoesNotDependOnTheChunks(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    for text in [
      "\n<think> ä <\n/think </think\n </think> \n 🦙 </think>", "<thin k>", "<think>", " x", "<think>a</think>",
    ] {
      var chunks: [String] = []
      var rest = text.unicodeScalars[...]
      while !rest.isEmpty {
        let length = Int.random(in: 1...4, using: &generator)
        chunks.append(String(rest.prefix(length)))
        rest = rest.dropFirst(length)
      }
      #expect(Self.reasoning(chunks) == Self.reasoning([text]), "seed \(seed): \(text)")
    }
  }
}
