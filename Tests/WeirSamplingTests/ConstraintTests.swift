// Constraints against texts judged by Python's re and jsonschema.

import Testing
import WeirBasics
import WeirSampling

/// A vocabulary for tests: every byte, and pieces that cut across the structure of JSON and words.
enum TestVocabulary {
  static let end: TokenID = 0
  static let pieces: [[UInt8]] = {
    var result: [[UInt8]] = [[]]
    for byte in 0...255 { result.append([UInt8(byte)]) }
    for text in [
      "{\"", "\":", "\": ", "\",\"", "\", \"", "},{", "}}", "]}", "[[", "\"\"", "true", "false", "null", "tr", "ue",
      "ab",
      "abc", "bc", " a", "name", "age", "\"name\"", "\"name\": \"", "12", "123", "0.", ".5", "-1", "e+", "é", "😀", "яд",
      "\\u",
      "\\u00", "\\n", "\\\"", "00", "cd", "aab", "bb", "xx", "::", "  ", "\n", ", ", ",\"", "],", "}]", "\"}", "\"]",
      "2024-", "</s>",
    ] { result.append(Array(text.utf8)) }
    result.append([0xC3])
    result.append([0xF0, 0x9F])
    result.append([])
    return result
  }()
  static let shared = ConstraintVocabulary(tokenBytes: pieces, endTokens: [end])

  /// Cuts a text into tokens at random, every piece being a token.
  static func tokenise(_ text: [UInt8], _ generator: inout SeededGenerator) -> [TokenID] {
    var result: [TokenID] = []
    var rest = text[...]
    while !rest.isEmpty {
      let fitting = pieces.indices.filter { !pieces[$0].isEmpty && rest.starts(with: pieces[$0]) }
      let piece = fitting[Int(generator.next() % UInt64(fitting.count))]
      result.append(TokenID(piece))
      rest = rest.dropFirst(pieces[piece].count)
    }
    return result
  }
}

/// The macros of the testing library take no mutating calls; these stand between.
func take(_ constraint: inout TokenConstraint, _ token: TokenID) -> Bool { constraint.accept(token) }
func take(_ constraint: inout TokenConstraint, _ bytes: [UInt8]) -> Bool { constraint.accept(bytes: bytes) }
func mask(_ constraint: inout TokenConstraint) -> TokenMask { constraint.mask() }

struct ConstraintCase: Sendable {
  var source: ConstraintSource
  var accept: [String]
  var refuse: [String]

  static func source(_ kind: JSONValue?, _ value: JSONValue?) throws -> ConstraintSource {
    switch kind?.string {
    case "regex": return .regex(value?.string ?? "")
    case "grammar": return .grammar(value?.string ?? "")
    case "schema": return .jsonSchema(try JSONValue.parse(value?.string ?? ""))
    default: return .choice((value?.array ?? []).compactMap(\.string))
    }
  }

  static func all() throws -> [ConstraintCase] {
    try (try Golden.json("constraints.json")["cases"]?.array ?? []).map { item in
      ConstraintCase(
        source: try source(item["kind"], item["source"]),
        accept: (item["accept"]?.array ?? []).compactMap(\.string),
        refuse: (item["refuse"]?.array ?? []).compactMap(\.string))
    }
  }
}

@Suite struct ConstraintTests {
  @Test func acceptsWhatTheReferenceAcceptsHoweverItIsCut() throws {
    let cases = try ConstraintCase.all()
    #expect(cases.count > 70)
    let seed: UInt64 = 2024
    var generator = SeededGenerator(seed: seed)
    for item in cases {
      let fresh = try TokenConstraint(item.source, vocabulary: TestVocabulary.shared)
      for text in item.accept {
        for round in 0..<3 {
          var constraint = fresh
          for token in TestVocabulary.tokenise(Array(text.utf8), &generator) {
            // Masks are slower than steps here; every third cut looks at them too.
            if round == 0 { #expect(mask(&constraint).allows(token), "\(item.source) \(text) seed \(seed)") }
            #expect(take(&constraint, token), "\(item.source) refuses \(text)")
          }
          #expect(constraint.isComplete, "\(item.source) \(text)")
          #expect(mask(&constraint).allows(TestVocabulary.end))
          #expect(take(&constraint, TestVocabulary.end))
          #expect(constraint.mustEnd && constraint.isComplete)
        }
      }
    }
  }

  @Test func refusesWhatTheReferenceRefuses() throws {
    for item in try ConstraintCase.all() {
      let fresh = try TokenConstraint(item.source, vocabulary: TestVocabulary.shared)
      for text in item.refuse {
        var constraint = fresh
        let isAccepted = constraint.accept(bytes: Array(text.utf8)) && constraint.isComplete
        #expect(!isAccepted, "\(item.source) accepts \(text)")
      }
    }
  }

  @Test func badSourcesAreTypedErrorsThatSayWhy() throws {
    let bad = try #require(try Golden.json("constraints.json")["bad"]?.array)
    for item in bad {
      let source = try ConstraintCase.source(item[0], item[1])
      do {
        _ = try TokenConstraint(source, vocabulary: TestVocabulary.shared)
        Issue.record("\(source) was not refused")
      } catch {
        #expect(error.code == item[2]?.string, "\(source): \(error)")
        #expect(error.message.count > 20)
      }
    }
  }

  @Test func masksAgreeWithAcceptForEveryToken() throws {
    for source: ConstraintSource in [
      .jsonObject, .regex("(?:ab|é)+c{2,3}"), .choice(["true", "trucks", "abc"]),
      .grammar("root ::= \"a\" root \"b\" | \"\""),
    ] {
      var generator = SeededGenerator(seed: 8)
      var constraint = try TokenConstraint(source, vocabulary: TestVocabulary.shared)
      for _ in 0..<30 {
        let mask = constraint.mask()
        for token in TestVocabulary.pieces.indices.map({ TokenID($0) }) {
          var copy = constraint
          #expect(take(&copy, token) == mask.allows(token), "\(source) token \(token)")
        }
        #expect(mask.allows(TestVocabulary.end) == constraint.isComplete)
        let tokens = mask.tokens.filter { $0 != TestVocabulary.end }
        guard !tokens.isEmpty else { break }
        #expect(take(&constraint, tokens[Int(generator.next() % UInt64(tokens.count))]))
      }
    }
  }

  @Test func refusedTokensChangeNothing() throws {
    var constraint = try TokenConstraint(.regex("abc"), vocabulary: TestVocabulary.shared)
    let before = constraint.mask()
    #expect(!take(&constraint, TokenID(1 + 0x7A)))
    #expect(!take(&constraint, TestVocabulary.end))
    #expect(!take(&constraint, TokenID(5_000)))
    #expect(mask(&constraint) == before)
    #expect(take(&constraint, Array("abc".utf8)))
    #expect(constraint.mustEnd)
  }

  @Test func manyStatesMoveToAFreshTableWithoutATrace() throws {
    // Each depth and counter is a state of its own: far more than one table holds.
    var constraint = try TokenConstraint(.regex("(?:[a-c]{1,20}x){1,3000}y"), vocabulary: TestVocabulary.shared)
    var generator = SeededGenerator(seed: 21)
    for _ in 0..<2_900 {
      for _ in 0..<(1 + generator.next() % 20) { #expect(take(&constraint, [0x61 + UInt8(generator.next() % 3)])) }
      #expect(take(&constraint, Array("x".utf8)))
    }
    #expect(!take(&constraint, Array("z".utf8)))
    #expect(take(&constraint, Array("y".utf8)))
    #expect(constraint.mustEnd)
  }

  @Test func toolCallsHaveTheFormOfTheChoice() throws {
    let weather = ToolChoiceConstraint.Tool(
      name: "weather",
      parameters: ["type": "object", "properties": ["city": ["type": "string"]], "required": ["city"]])
    let clock = try ToolChoiceConstraint.Tool(["type": "function", "function": ["name": "clock"]])
    func accepts(_ source: ConstraintSource, _ text: String) throws -> Bool {
      var constraint = try TokenConstraint(source, vocabulary: TestVocabulary.shared)
      return constraint.accept(bytes: text.utf8) && constraint.isComplete
    }
    let any = try ToolChoiceConstraint.source(tools: [weather, clock])
    #expect(try accepts(any, #"{"name": "weather", "arguments": {"city": "Oslo"}}"#))
    #expect(try accepts(any, #"{"name":"clock","arguments":{"zone":[1]}}"#))
    #expect(try !accepts(any, #"{"name": "weather", "arguments": {}}"#))
    #expect(try !accepts(any, #"{"name": "other", "arguments": {}}"#))
    let named = try ToolChoiceConstraint.source(
      tools: [weather, clock], named: "clock", form: .wrapped(several: false))
    let call = "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>"
    #expect(try accepts(named, call))
    #expect(try !accepts(named, call + "\n" + call))
    let several = try ToolChoiceConstraint.source(tools: [clock], form: .wrapped(several: true))
    #expect(try accepts(several, call + "\n" + call))
    #expect(throws: SamplingError.self) { try ToolChoiceConstraint.source(tools: []) }
    #expect(throws: SamplingError.self) { try ToolChoiceConstraint.source(tools: [clock], named: "x") }
  }
}
