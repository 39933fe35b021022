// Task files: what a line may say, and where the error points when it says something else.

import Testing
import WeirBasics
import WeirEvaluation

@Suite struct TaskFileTests {
  private static func items(_ text: String) throws(TaskFileError) -> [TaskItem] {
    try TaskFile.parse(utf8: Array(text.utf8), name: "t.jsonl")
  }

  @Test func `every field is read`() throws {
    let items = try Self.items(
      """
      {"id": "a", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q?"}], "answers": ["x"],
       "tags": {"set": "facts-1k", "context_tokens": 1024, "share": 0.5, "easy": true, "none": null}, "fact_span": [3, 9]}
      """.replacing("\n", with: "") + "\r\n\n"
        + #"{"id": "c", "messages": [{"role": "tool", "content": "7"}], "answers": ["7"]}"# + "\n"
        + #"{"id": "b", "prompt": "text", "question": "xt", "all_of": ["y", "z"], "none_of": ["w"], "note": [1, 2]}"#)
    #expect(items.count == 3)
    #expect(
      items[0].prompt
        == .messages([TaskMessage(role: "system", content: "S"), TaskMessage(role: "user", content: "Q?")]))
    #expect(items[0].answers == ["x"])
    #expect(items[0].factSpan == 3..<9)
    #expect(items[0].tags.map(\.key) == ["set", "context_tokens", "share", "easy"])
    #expect(items[0].tag("set") == .word("facts-1k"))
    #expect(items[0].tag("context_tokens") == .number(1024))
    #expect(items[0].tag("easy") == .word("true"))
    #expect(
      items[2]
        == TaskItem(id: "b", prompt: .text("text"), question: "xt", answers: [], allOf: ["y", "z"], noneOf: ["w"]))
  }

  private static let start = #"{"id": "a", "answers": ["x"], "#
  private static let wrong: [(line: String, reason: TaskFileError.Reason, field: String)] = [
    (#"{"id": "a""#, .notJSON, ""),
    ("[1]", .notAnObject, ""),
    (#"{"prompt": "p", "answers": ["x"]}"#, .missingField, "id"),
    (#"{"id": 7, "prompt": "p", "answers": ["x"]}"#, .wrongField, "id"),
    (#"{"id": "", "prompt": "p", "answers": ["x"]}"#, .wrongField, "id"),
    (#"{"id": "a", "answers": ["x"]}"#, .missingField, "messages"),
    (start + #""prompt": "p", "messages": []}"#, .wrongField, "prompt"),
    (start + #""prompt": ""}"#, .wrongField, "prompt"),
    (start + #""messages": []}"#, .wrongField, "messages"),
    (start + #""messages": [{"role": "king", "content": "c"}]}"#, .wrongField, "messages[0].role"),
    (start + #""messages": [{"content": "c"}]}"#, .missingField, "messages[0].role"),
    (start + #""messages": [{"role": "user", "content": null}]}"#, .wrongField, "messages[0].content"),
    (
      start + #""messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "c"}]}"#, .wrongField,
      "messages[1].role"
    ),
    (#"{"id": "a", "prompt": "p"}"#, .missingField, "answers"),
    (#"{"id": "a", "prompt": "p", "answers": [], "all_of": []}"#, .missingField, "answers"),
    (#"{"id": "a", "prompt": "p", "answers": "x"}"#, .wrongField, "answers"),
    (#"{"id": "a", "prompt": "p", "answers": ["x", " "]}"#, .wrongField, "answers[1]"),
    (#"{"id": "a", "prompt": "p", "answers": ["x"], "none_of": ["?"]}"#, .wrongField, "none_of[0]"),
    (#"{"id": "a", "prompt": "p", "all_of": ["x\ny"]}"#, .wrongField, "all_of[0]"),
    (start + #""prompt": "p", "question": 3}"#, .wrongField, "question"),
    (start + #""prompt": "p", "tags": []}"#, .wrongField, "tags"),
    (start + #""prompt": "p", "tags": {"set": ["s"]}}"#, .wrongField, "tags.set"),
    (start + #""prompt": "p", "fact_span": [4, 3]}"#, .wrongField, "fact_span"),
    (start + #""prompt": "p", "fact_span": [1.5, 3]}"#, .wrongField, "fact_span"),
  ]

  @Test(arguments: wrong.indices) func `a wrong line is refused by file, line and field`(index: Int) {
    let (line, reason, field) = Self.wrong[index]
    let good = #"{"id": "first", "prompt": "p", "answers": ["x"]}"#
    do {
      let items = try Self.items("\(good)\n\n\(line)\n")
      Issue.record("\(line) gave \(items)")
    } catch {
      #expect(error.reason == reason && error.field == field && error.line == 3, "\(line): \(error)")
      #expect(error.message.hasPrefix("t.jsonl, line 3: \(field)"), "\(error.message)")
      #expect(error.code == "invalid_task_file")
    }
  }

  @Test func `an identifier may not repeat, and a file may not be empty`() {
    let line = #"{"id": "a", "prompt": "p", "answers": ["x"]}"#
    let repeated = #expect(throws: TaskFileError.self) { try Self.items("\(line)\n\(line)") }
    #expect(repeated?.reason == .repeatedID && repeated?.line == 2)
    let empty = #expect(throws: TaskFileError.self) { try Self.items("\n \n") }
    #expect(empty?.reason == .noItems)
  }
}

@Suite struct ContextFormTests {
  private func item(_ form: ContextForm) -> TaskItem {
    form.applied(
      to: TaskItem(
        id: "1",
        prompt: .messages([
          TaskMessage(role: "user", content: "It rained. Rex is 3.5 years old!  Why?\n\nNobody knows"),
          TaskMessage(role: "user", content: "How old is Rex?"),
        ]), answers: ["3.5"], factSpan: 3..<9, factSpans: [3..<9]))
  }

  @Test(arguments: [
    (ContextForm.unpunctuated, "It rained Rex is 3.5 years old Why Nobody knows"),
    (.oneSentence, "It rained, Rex is 3.5 years old, Why, Nobody knows"),
    (.code, "log(\"It rained\")\nlog(\"Rex is 3.5 years old\")\nlog(\"Why\")\nlog(\"Nobody knows\")\n"),
  ]) func theContextLosesItsSentencesAndTheQuestionStays(form: ContextForm, text: String) {
    let item = item(form)
    #expect(
      item.prompt
        == .messages([
          TaskMessage(role: "user", content: text), TaskMessage(role: "user", content: "How old is Rex?"),
        ]))
    #expect(item.factSpans.isEmpty && item.factSpan == nil && item.answers == ["3.5"])
  }

  @Test func plainIsAsItWas() {
    guard case .messages(let messages) = item(.plain).prompt else { return }
    #expect(messages.first?.content.contains("rained. Rex") == true && item(.plain).factSpans == [3..<9])
  }
}
