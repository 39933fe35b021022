// libFuzzer entry for task files. Build and run with Fuzz/run.sh, which compiles the parser's folder in.

import WeirBasics

/// Any bytes give items or a typed error; every item can be answered rightly.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTaskFile(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  do {
    let items = try TaskFile.parse(utf8: Array(UnsafeBufferPointer(start: data, count: size)), name: "fuzz")
    precondition(!items.isEmpty)
    for item in items {
      // Without what is forbidden, the values themselves are an answer. They start behind a word, because a
      // `<tool_call>` at the beginning is dropped.
      let best = (["it"] + item.answers.prefix(1) + item.allOf).joined(separator: " ")
      var allowed = item
      allowed.noneOf = []
      precondition(AnswerRule.isRight(best, for: allowed), "no answer can be right")
    }
  } catch {
    precondition(!error.message.isEmpty && error.line >= 0)
  }
  do {
    let documents = try TextDocument.parse(utf8: Array(UnsafeBufferPointer(start: data, count: size)), name: "fuzz")
    precondition(!documents.isEmpty && documents.allSatisfy { !$0.id.isEmpty && !$0.parts.isEmpty })
  } catch {
    precondition(!error.message.isEmpty && error.line >= 0)
  }
  return 0
}
