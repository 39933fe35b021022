// The match rule with awkward cases.

import Testing
import WeirEvaluation

@Suite struct AnswerRuleTests {
  private static func isRight(
    _ answer: String, _ answers: [String], allOf: [String] = [], noneOf: [String] = []
  ) -> Bool {
    AnswerRule.isRight(
      answer, for: TaskItem(id: "i", prompt: .text("p"), answers: answers, allOf: allOf, noneOf: noneOf))
  }

  @Test(arguments: [
    ("Paris", "paris"), ("  It is PARIS.", "Paris"), ("paris", " Paris "), ("(Paris)", "paris"),
    ("Paris\nRome", "Paris"),
    ("Paris\r\nRome", "Paris"), ("in-Paris-city", "paris"), ("Paris_2", "paris"), ("42", "42"), ("It's 42.", "42"),
    ("-42", "42"), ("42.5", "42"), ("3 412 and 412", "412"), ("ÉTÉ", "été"), ("der Straße 7", "straße"),
    ("unparis paris", "paris"), ("New York City", "new york"), ("New  \tYork", "New York"), ("x+y", "x+y"),
    ("日本、東京", "東京"), ("parisparis, paris", "paris"), ("Paris’s", "paris"), ("\n\n Paris", "Paris"),
    ("Paris", "Paris."), ("At 8:40.", "8:40"), ("<tool_call>\n{\"name\": \"get_time\"}\n</tool_call>", "get_time"),
    ("\n{\"name\": \"get_time\"}\n", "get_time"),
  ])
  func `a value that stands as whole words is found`(answer: String, value: String) {
    #expect(Self.isRight(answer, [value]))
  }

  @Test(arguments: [
    ("Parish", "Paris"), ("aparis", "paris"), ("142", "42"), ("421", "42"), ("42nd", "42"), ("a42", "42"), ("", "42"),
    ("Rome\nParis", "Paris"), ("étéx", "été"), ("Par", "Paris"), ("New-York", "New York"), ("At 18:40.", "8:40"),
    ("paris²", "paris"), ("½paris", "paris"), ("東京都", "東京"), ("42٣", "42"), ("parisparis", "paris"),
    ("x <tool_call>\nParis", "Paris"),
  ])
  func `a value inside a longer word or number, or after the first line, is not`(answer: String, value: String) {
    #expect(!Self.isRight(answer, [value]))
  }

  @Test func `any of the answers, all of the required values, none of the forbidden ones`() {
    #expect(Self.isRight("Rome", ["Paris", "Rome"]))
    #expect(Self.isRight("Rome, then Paris", [], allOf: ["Paris", "Rome"]))
    #expect(!Self.isRight("Rome", [], allOf: ["Paris", "Rome"]))
    #expect(Self.isRight("Rome 7 x", ["Paris", "Rome"], allOf: ["7", "x"]))
    #expect(!Self.isRight("Rome 7", ["Paris", "Rome"], allOf: ["7", "x"]))
    #expect(!Self.isRight("7 x", ["Paris", "Rome"], allOf: ["7", "x"]))
    #expect(!Self.isRight("Oslo, or Rome.", ["Oslo"], noneOf: ["Rome"]))
    #expect(Self.isRight("Oslo, or Romeo.", ["Oslo"], noneOf: ["Rome"]))
  }

  @Test func `the answer is cut at its first newline`() {
    #expect(AnswerRule.judged("a\r\nb") == "a")
    #expect(AnswerRule.judged("\n b \nc") == "b")
    #expect(AnswerRule.judged("a b").count == 3)
    #expect(AnswerRule.judged(" \n").isEmpty)
    #expect(AnswerRule.judged("<tool_call>").isEmpty)
  }
}
