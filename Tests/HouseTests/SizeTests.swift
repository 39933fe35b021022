// Limits on files, functions and the vocabulary room.

import Testing

@Suite struct SizeTests {
  @Test func filesStayUnder600Lines() {
    for file in SourceTree.allCode where !file.path.contains("/Golden/") {
      #expect(file.lines.count <= 601, "\(file) has \(file.lines.count) lines; split it where a reader would look")
    }
  }

  @Test func functionsStayUnder70Lines() {
    for file in SourceTree.allCode {
      let spans =
        file.path.hasSuffix(".swift")
        ? file.swiftFunctions : file.path.hasPrefix("Sources/CWeir") ? file.cFunctions : []
      for span in spans { #expect(span.lineCount <= 70, "\(span)") }
    }
  }

  @Test func theSharedVocabularyStaysSmall() {
    let lines = SourceTree.swiftSources.filter { $0.room == "WeirBasics" && !$0.path.contains("/JSON/") }
      .reduce(0) { $0 + $1.lines.count }
    #expect(lines <= 1500, "WeirBasics has \(lines) lines without its JSON folder")
  }

  /// The counter itself is checked, or the limit could pass by counting nothing.
  @Test func theCounterSeesLongFunctions() throws {
    let body = Array(repeating: "    x += 1 // }", count: 80)
    let file = SourceFile(
      path: "Sources/X/x.swift", lines: ["struct X {", "  func f(a: Int) {"] + body + ["  }", "}"])
    let span = try #require(file.swiftFunctions.first)
    #expect(span.lineCount == 82)
    let c = SourceFile(path: "Sources/CWeirX/x.c", lines: ["static void f(int a)", "{"] + body + ["}"])
    #expect(try #require(c.cFunctions.first).lineCount == 83)
  }
}
