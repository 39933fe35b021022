// Reads task files: JSON Lines, one item a line. This folder imports WeirBasics only, so that its fuzz entry builds
// without an engine.

import WeirBasics

/// The parser of task files.
///
/// A line is an object with
/// - `id`: a string, unique in the run;
/// - `messages`: a list of `{"role", "content"}`, the last one the user's question or the result of a tool's call; or
///   `prompt`: raw text;
/// - `question` (optional): the question as it stands in the prompt, where it is not the whole last message;
/// - `answers` (any of them is right) and/or `all_of` (all must appear): lists of strings, not both empty; `none_of`
///   (optional): strings that make the answer wrong;
/// - `tags` (optional): an object of strings, numbers and booleans;
/// - `fact_span` (optional): `[start, end]`, tokens of the prompt, `end` exclusive; `fact_spans` (optional): a list of
///   such pairs, where an answer needs several statements.
///
/// Other members are ignored, so that generators may keep notes. Empty lines are skipped.
public enum TaskFile {
  static let roles: Set<String> = ["system", "user", "assistant", "tool"]

  /// - Parameters:
  ///   - utf8: the whole file.
  ///   - name: the file's name, for errors.
  /// - Returns: its items in order, at least one.
  /// - Throws: ``TaskFileError`` that names file, line and field.
  public static func parse(utf8: [UInt8], name: String) throws(TaskFileError) -> [TaskItem] {
    var items: [TaskItem] = []
    var lineOf: [String: Int] = [:]
    var number = 0
    for line in utf8.split(separator: 0x0A, omittingEmptySubsequences: false) {
      number += 1
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      let item = try LineReader(file: name, line: number).item(Array(line))
      if let earlier = lineOf.updateValue(number, forKey: item.id) {
        throw TaskFileError(
          .repeatedID, file: name, line: number, field: "id",
          "is \(JSONValue.quoted(item.id)), as in line \(earlier); every item needs one of its own")
      }
      items.append(item)
    }
    guard !items.isEmpty else {
      throw TaskFileError(.noItems, file: name, line: 0, "the file holds no item; it needs one JSON object a line")
    }
    return items
  }
}

/// Reads one line.
private struct LineReader {
  let file: String
  let line: Int

  func item(_ bytes: [UInt8]) throws(TaskFileError) -> TaskItem {
    let value: JSONValue
    do {
      value = try JSONValue.parse(utf8: bytes)
    } catch {
      throw TaskFileError(.notJSON, file: file, line: line, error.message)
    }
    guard let object = value.object else {
      throw TaskFileError(
        .notAnObject, file: file, line: line, "the line is of kind \(value.kindName); it must be an object")
    }
    guard let id = object["id"] else { throw missing("id", "it must be a string that no other item has") }
    guard let id = id.string, !id.isEmpty else { throw wrong("id", object["id"], "a string that is not empty") }
    var item = TaskItem(id: id, prompt: try prompt(object), answers: try values(object, "answers"))
    item.allOf = try values(object, "all_of")
    item.noneOf = try values(object, "none_of")
    guard !item.answers.isEmpty || !item.allOf.isEmpty else {
      throw missing("answers", "give \"answers\" (any of them is right) or \"all_of\" (all must appear)")
    }
    if let question = object["question"], !question.isNull {
      guard let text = question.string, !text.isEmpty else {
        throw wrong("question", question, "a string that is not empty")
      }
      item.question = text
    }
    item.tags = try tags(object)
    item.factSpan = try factSpan(object)
    item.factSpans = try factSpans(object) ?? item.factSpan.map { [$0] } ?? []
    return item
  }

  private func prompt(_ object: JSONObject) throws(TaskFileError) -> TaskItem.Prompt {
    switch (object["messages"], object["prompt"]) {
    case (.some, .some):
      throw TaskFileError(
        .wrongField, file: file, line: line, field: "prompt", "stands beside messages; give one of the two")
    case (nil, nil): throw missing("messages", "give \"messages\" or \"prompt\"")
    case (nil, .some(let prompt)):
      guard let text = prompt.string, !text.isEmpty else {
        throw wrong("prompt", prompt, "a string that is not empty")
      }
      return .text(text)
    case (.some(let list), nil): return .messages(try messages(list))
    }
  }

  private func messages(_ value: JSONValue) throws(TaskFileError) -> [TaskMessage] {
    guard let list = value.array, !list.isEmpty else {
      throw wrong("messages", value, "a list of messages that is not empty")
    }
    var messages: [TaskMessage] = []
    for (place, entry) in list.enumerated() {
      let name = "messages[\(place)]"
      guard let role = entry["role"]?.string, TaskFile.roles.contains(role) else {
        throw wrong("\(name).role", entry["role"], "one of \(TaskFile.roles.sorted().joined(separator: ", "))")
      }
      guard let content = entry["content"]?.string else {
        throw wrong("\(name).content", entry["content"], "a string")
      }
      messages.append(TaskMessage(role: role, content: content))
    }
    guard let last = messages.last, last.role == "user" || last.role == "tool" else {
      throw wrong(
        "messages[\(messages.count - 1)].role", list.last?["role"],
        "user, or tool for the result of a call: the last message is what is answered")
    }
    return messages
  }

  private func values(_ object: JSONObject, _ field: String) throws(TaskFileError) -> [String] {
    guard let value = object[field], !value.isNull else { return [] }
    guard let list = value.array else { throw wrong(field, value, "a list of strings") }
    var texts: [String] = []
    for (place, entry) in list.enumerated() {
      guard let text = entry.string, AnswerRule.isUsable(text) else {
        throw wrong("\(field)[\(place)]", entry, "a string of one line with more than white space and punctuation")
      }
      texts.append(text)
    }
    return texts
  }

  private func tags(_ object: JSONObject) throws(TaskFileError) -> [TaskTag] {
    guard let value = object["tags"], !value.isNull else { return [] }
    guard let members = value.object else { throw wrong("tags", value, "an object") }
    var tags: [TaskTag] = []
    for (key, member) in members {
      switch member {
      case .null: continue
      case .string(let word): tags.append(TaskTag(key: key, value: .word(word)))
      case .bool(let flag): tags.append(TaskTag(key: key, value: .word(flag ? "true" : "false")))
      case .integer, .number: tags.append(TaskTag(key: key, value: .number(member.double ?? 0)))
      case .array, .object: throw wrong("tags.\(key)", member, "a string, a number or a boolean")
      }
    }
    return tags
  }

  private func factSpan(_ object: JSONObject) throws(TaskFileError) -> Range<Position>? {
    guard let value = object["fact_span"], !value.isNull else { return nil }
    return try span(value, "fact_span")
  }

  private func factSpans(_ object: JSONObject) throws(TaskFileError) -> [Range<Position>]? {
    guard let value = object["fact_spans"], !value.isNull else { return nil }
    guard let list = value.array else { throw wrong("fact_spans", value, "a list of [start, end]") }
    var spans: [Range<Position>] = []
    for (place, entry) in list.enumerated() { spans.append(try span(entry, "fact_spans[\(place)]")) }
    return spans
  }

  private func span(_ value: JSONValue, _ field: String) throws(TaskFileError) -> Range<Position> {
    guard let list = value.array, list.count == 2, let start = list[0].int, let end = list[1].int, start >= 0,
      start <= end
    else { throw wrong(field, value, "[start, end] with 0 <= start <= end, in tokens") }
    return start..<end
  }

  private func missing(_ field: String, _ detail: String) -> TaskFileError {
    TaskFileError(.missingField, file: file, line: line, field: field, "is missing; \(detail)")
  }

  private func wrong(_ field: String, _ value: JSONValue?, _ wanted: String) -> TaskFileError {
    guard let value else {
      return TaskFileError(.missingField, file: file, line: line, field: field, "is missing; it must be \(wanted)")
    }
    return TaskFileError(
      .wrongField, file: file, line: line, field: field, "is \(excerpt(value)); it must be \(wanted)")
  }

  /// Enough of a value to find it by.
  private func excerpt(_ value: JSONValue) -> String {
    let scalars = value.serialized().unicodeScalars
    let start = String(String.UnicodeScalarView(scalars.prefix(40)))
    return scalars.count > 40 ? start + "..." : start
  }
}
