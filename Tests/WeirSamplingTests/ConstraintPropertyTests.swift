// Random walks through constraints, and mutated sources: whatever is allowed is right, whatever is wrong is an error.

import Testing
import WeirBasics
import WeirSampling

@Suite struct ConstraintPropertyTests {
  /// Takes random allowed tokens until the output is complete. After a while it prefers tokens that close things.
  static func walk(_ start: TokenConstraint, _ generator: inout SeededGenerator, patience: Int) -> [UInt8]? {
    var constraint = start
    var text: [UInt8] = []
    let closers: Set<UInt8> = [0x22, 0x5D, 0x7D]
    for step in 0..<(patience + 3_000) {
      let mask = constraint.mask()
      if constraint.isComplete, step > patience || generator.next() % 8 == 0 || constraint.mustEnd { return text }
      var tokens = mask.tokens.filter { $0 != TestVocabulary.end }
      guard !tokens.isEmpty else { return nil }
      if step > patience {
        let closing = tokens.filter { closers.contains(TestVocabulary.pieces[$0.index].first ?? 0) }
        if !closing.isEmpty, generator.next() % 4 != 0 { tokens = closing }
      }
      let token = tokens[Int(generator.next() % UInt64(tokens.count))]
      guard constraint.accept(token) else { return nil }
      text += TestVocabulary.pieces[token.index]
    }
    return nil
  }

  @Test func randomWalksThroughSchemasGiveInstances() throws {
    let seed: UInt64 = 99
    var generator = SeededGenerator(seed: seed)
    var walks = 0
    for item in try ConstraintCase.all() {
      guard case .jsonSchema(let schema) = item.source else { continue }
      let start = try TokenConstraint(item.source, vocabulary: TestVocabulary.shared)
      for _ in 0..<12 {
        let text = try #require(Self.walk(start, &generator, patience: 25), "\(schema.serialized()) seed \(seed)")
        let value = try JSONValue.parse(utf8: text, allowsDuplicateKeys: true)
        let shown = String(decoding: text, as: UTF8.self)
        #expect(SchemaChecker(root: schema).allows(value, schema), "\(schema.serialized()) gave \(shown), seed \(seed)")
        walks += 1
      }
    }
    #expect(walks > 300)
  }

  @Test func randomWalksThroughAnyObjectAreObjects() throws {
    var generator = SeededGenerator(seed: 4)
    let start = try TokenConstraint(.jsonObject, vocabulary: TestVocabulary.shared)
    for _ in 0..<100 {
      let text = try #require(Self.walk(start, &generator, patience: 40))
      #expect(try JSONValue.parse(utf8: text).object != nil)
    }
  }

  @Test func randomWalksThroughRegexesMatch() throws {
    var generator = SeededGenerator(seed: 12)
    for pattern in [
      #"[a-c]+"#, #"(?:ab|cd){1,2}e*"#, #"\d{3}-\d{4}"#, #"[^abc]{2}"#, #"[а-я]+x?"#, #"((a|ab)(c|bcd))(d*)"#,
      #"\$\{\w+\}"#,
      #"(?i)abc|x"#, #".{1,3}"#, #"[😀-😂]\s"#,
    ] {
      let start = try TokenConstraint(.regex(pattern), vocabulary: TestVocabulary.shared)
      let oracle = try Regex(pattern).matchingSemantics(.unicodeScalar)
      for _ in 0..<20 {
        let text = try #require(Self.walk(start, &generator, patience: 10))
        let whole = try #require(String(validating: text, as: UTF8.self))
        // Swift's dot and white space differ from ours in line separators; those texts are left out.
        if whole.unicodeScalars.contains(where: { $0.properties.isWhitespace && $0 != " " }) { continue }
        #expect(whole.wholeMatch(of: oracle) != nil, "\(pattern) gave \(whole)")
      }
    }
  }

  @Test func aWalkNeverRunsIntoADeadEnd() throws {
    // The deepest nesting that is offered can still be closed.
    var constraint = try TokenConstraint(.jsonObject, vocabulary: TestVocabulary.shared)
    let open = Array("{\"a\":".utf8)
    var depth = 0
    while take(&constraint, open) { depth += 1 }
    #expect(depth > 60 && depth < 128)
    var generator = SeededGenerator(seed: 1)
    var text: [UInt8] = []
    for _ in 0..<depth { text += open }
    let rest = try #require(Self.walk(constraint, &generator, patience: 0))
    #expect(try JSONValue.parse(utf8: text + rest).object != nil)
  }

  /// Changes a few bytes of `text`.
  private func mutate(_ text: String, _ generator: inout SeededGenerator) -> String {
    var bytes = Array(text.utf8)
    let alphabet = Array("()[]{}|*+?\\\".,:-^$aZ09 \n#=<>é\u{0}rootd/".utf8)
    for _ in 0..<(1 + generator.next() % 4) {
      let byte = alphabet[Int(generator.next() % UInt64(alphabet.count))]
      let place = Int(generator.next() % UInt64(bytes.count + 1))
      switch generator.next() % 4 {
      case 0: bytes.insert(byte, at: place)
      case 1 where place < bytes.count: bytes.remove(at: place)
      case 2 where place < bytes.count: bytes[place] = byte
      default: bytes.insert(contentsOf: bytes.suffix(from: place).prefix(12), at: place)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test func mutatedSourcesAreErrorsOrWork() throws {
    let seed: UInt64 = 31_337
    var generator = SeededGenerator(seed: seed)
    let golden = try #require(try Golden.json("constraints.json")["cases"]?.array)
    var compiled = 0
    for round in 0..<1_000 {
      let item = golden[Int(generator.next() % UInt64(golden.count))]
      guard let text = item["source"]?.string else { continue }
      let mutant = mutate(text, &generator)
      let source: ConstraintSource
      switch item["kind"]?.string {
      case "regex": source = .regex(mutant)
      case "grammar": source = .grammar(mutant)
      default:
        guard let schema = try? JSONValue.parse(mutant) else { continue }
        source = .jsonSchema(schema)
      }
      guard var constraint = try? TokenConstraint(source, vocabulary: TestVocabulary.shared) else { continue }
      compiled += 1
      for _ in 0..<4 {
        let tokens = constraint.mask().tokens
        guard !tokens.isEmpty else {
          Issue.record("a dead end: seed \(seed) round \(round) \(mutant)")
          break
        }
        #expect(take(&constraint, tokens[Int(generator.next() % UInt64(tokens.count))]), "seed \(seed) round \(round)")
      }
    }
    #expect(compiled > 100)
  }
}
