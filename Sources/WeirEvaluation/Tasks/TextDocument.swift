// Texts of which some tokens are answers, for perplexity. This folder imports WeirBasics only, so that its fuzz entry
// builds without an engine.

import WeirBasics

/// A text in parts, of which some are answers to what stood before them.
///
/// A line of a document file is an object with `id`, a string, unique in the file, and `parts`, a list of objects with
/// `text`, a string, and perhaps `answer`, a boolean. Other members are ignored, empty lines are skipped. Control tokens of
/// a chat template may be spelled in the text; each part is made into tokens by itself.
public struct TextDocument: Sendable, Equatable {
  public struct Part: Sendable, Equatable {
    public var text: String
    /// What the text before it determines.
    public var isAnswer: Bool

    public init(_ text: String, isAnswer: Bool = false) {
      self.text = text
      self.isAnswer = isAnswer
    }
  }

  public var id: String
  public var parts: [Part]

  public init(id: String, parts: [Part]) {
    self.id = id
    self.parts = parts
  }

  /// - Parameters:
  ///   - utf8: the whole file.
  ///   - name: the file's name, for errors.
  /// - Returns: its documents in order, at least one.
  /// - Throws: ``TaskFileError`` that names file, line and field.
  public static func parse(utf8: [UInt8], name: String) throws(TaskFileError) -> [TextDocument] {
    var documents: [TextDocument] = []
    var ids: Set<String> = []
    for (place, line) in utf8.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      let document = try document(Array(line), file: name, line: place + 1)
      guard ids.insert(document.id).inserted else {
        throw TaskFileError(
          .repeatedID, file: name, line: place + 1, field: "id",
          "is \(JSONValue.quoted(document.id)), as in a line before; every document needs one of its own")
      }
      documents.append(document)
    }
    guard !documents.isEmpty else {
      throw TaskFileError(.noItems, file: name, line: 0, "the file holds no document; it needs one JSON object a line")
    }
    return documents
  }

  private static func document(_ bytes: [UInt8], file: String, line: Int) throws(TaskFileError) -> TextDocument {
    let value: JSONValue
    do {
      value = try JSONValue.parse(utf8: bytes)
    } catch {
      throw TaskFileError(.notJSON, file: file, line: line, error.message)
    }
    guard value.object != nil else {
      throw TaskFileError(
        .notAnObject, file: file, line: line, "the line is of kind \(value.kindName); it must be an object")
    }
    guard let id = value["id"]?.string, !id.isEmpty else {
      throw TaskFileError(
        .wrongField, file: file, line: line, field: "id", "must be a string that no other document has")
    }
    var document = TextDocument(id: id, parts: [])
    for (place, entry) in (value["parts"]?.array ?? []).enumerated() {
      let answer = entry["answer"] ?? .bool(false)
      guard let text = entry["text"]?.string, !text.isEmpty, let isAnswer = answer.bool else {
        throw TaskFileError(
          .wrongField, file: file, line: line, field: "parts[\(place)]",
          "must be an object with \"text\", a string that is not empty, and perhaps \"answer\", a boolean")
      }
      document.parts.append(Part(text, isAnswer: isAnswer))
    }
    guard !document.parts.isEmpty else {
      throw TaskFileError(
        .missingField, file: file, line: line, field: "parts", "must be a list of parts that is not empty")
    }
    return document
  }
}
