import Testing
import WeirBasics

@Suite struct JSONTests {
  @Test func keepsIntegersExactAndKeyOrder() throws {
    let value = try JSONValue.parse(#" {"z": 9007199254740993, "a": [1.5, -7, 1e3, true, null], "é": "x"} "#)
    #expect(value["z"] == .integer(9_007_199_254_740_993))
    #expect(value.object?.keys == ["z", "a", "é"])
    #expect(value["a"]?[0]?.double == 1.5)
    #expect(value["a"]?[2]?.int == 1000)
    #expect(value["a"]?[4]?.isNull == true)
    #expect(value["missing"] == nil)
    #expect(try JSONValue.parse("9223372036854775807") == .integer(.max))
    #expect(try JSONValue.parse("-9223372036854775808") == .integer(.min))
    guard case .number(let big) = try JSONValue.parse("9223372036854775808") else { return #expect(Bool(false)) }
    #expect(big == 0x1p63)
  }

  @Test func readsEscapesAndSurrogatePairs() throws {
    let value = try JSONValue.parse(#""a\"\\\/\b\f\n\r\té\ud83d\ude00""#)
    #expect(value.string == "a\"\\/\u{8}\u{C}\n\r\té😀")
  }

  @Test(arguments: [
    ("", JSONError.Reason.unexpectedEnd, 0), ("{", .unexpectedEnd, 1), ("[1,]", .unexpectedByte, 3),
    ("{\"a\" 1}", .unexpectedByte, 5), ("{a:1}", .unexpectedByte, 1), ("01", .badNumber, 0), ("1.", .badNumber, 2),
    ("-", .unexpectedEnd, 1), ("1e", .badNumber, 2), ("+1", .unexpectedByte, 0), ("1 2", .trailingBytes, 2),
    ("\"\\x\"", .badEscape, 1), ("\"\\ud800\"", .badSurrogate, 1), ("\"\\udc00\"", .badSurrogate, 1),
    ("\"\\ud800\\u0041\"", .badSurrogate, 1), ("\"a\nb\"", .controlCharacter, 2), ("\"abc", .unexpectedEnd, 4),
    ("nul", .unexpectedEnd, 3), ("nulL", .unexpectedByte, 0), ("1e999", .numberOutOfRange, 0),
    ("NaN", .unexpectedByte, 0),
    ("\"\\u12", .unexpectedEnd, 5), ("\"\\u12g4\"", .badEscape, 1), ("[1 2]", .unexpectedByte, 3),
  ]) func namesWhereTextIsWrong(text: String, reason: JSONError.Reason, offset: Int) {
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(text) }
    #expect(error?.reason == reason)
    #expect(error?.offset == offset)
  }

  @Test func refusesInvalidUTF8() {
    for bytes: [UInt8] in [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x5C, 0x6E, 0x22]] {
      let error = #expect(throws: JSONError.self) { try JSONValue.parse(utf8: bytes) }
      #expect(error?.reason == .badUTF8)
    }
  }

  @Test func refusesNestingBeyondTheLimit() throws {
    let limit = JSONValue.depthLimit
    _ = try JSONValue.parse(String(repeating: "[", count: limit) + String(repeating: "]", count: limit))
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(String(repeating: "[", count: 100_000)) }
    #expect(error?.reason == .tooDeep)
  }

  @Test func lastDuplicateWinsUnlessRefused() throws {
    let text = Array(#"{"a": 1, "b": 2, "a": 3}"#.utf8)
    let value = try JSONValue.parse(utf8: text)
    #expect(value["a"] == 3 && value.object?.keys == ["a", "b"])
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(utf8: text, allowsDuplicateKeys: false) }
    #expect(error?.reason == .duplicateKey && error?.offset == 17)
  }

  @Test func keysAreTheirBytesNotTheirCanonicalForm() throws {
    let composed = "\u{E9}"
    let decomposed = "e\u{301}"
    var object = JSONObject()
    for filler in 0..<20 { object["k\(filler)"] = .integer(Int64(filler)) }
    object[composed] = 1
    object[decomposed] = 2
    #expect(object.count == 22 && object[composed] == 1 && object[decomposed] == 2)
    object["k3"] = nil
    #expect(object.count == 21 && object["k3"] == nil && object["k4"] == 4 && object[decomposed] == 2)
    #expect(JSONValue.string(composed) != JSONValue.string(decomposed))
  }

  @Test func writesWhatPythonWrites() {
    let value: JSONValue = ["b": [1, 2.5, nil], "a": "é\"\n\u{1}😀", "empty": [], "none": [:]]
    #expect(value.serialized() == #"{"b":[1,2.5,null],"a":"é\"\n\u0001😀","empty":[],"none":{}}"#)
    #expect(
      value.serialized(sortedKeys: true, spaces: true, ascii: true)
        == #"{"a": "\u00e9\"\n\u0001\ud83d\ude00", "b": [1, 2.5, null], "empty": [], "none": {}}"#)
    #expect(
      JSONValue.object(["a": [1, ["k": "v"]]]).serialized(indent: 2)
        == "{\n  \"a\": [\n    1,\n    {\n      \"k\": \"v\"\n    }\n  ]\n}")
    #expect(JSONValue.array([.number(.nan), .number(.infinity)]).serialized() == "[null,null]")
    #expect(JSONValue(Float(0.1)).serialized() == "0.1")
  }

  @Test(arguments: 0..<200) func everyValueReadsBackAsItself(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let value = randomValue(&generator, depth: 0)
    #expect(try JSONValue.parse(value.serialized()) == value, "seed \(seed)")
    #expect(try JSONValue.parse(value.serialized(spaces: true, indent: 3, ascii: true)) == value, "seed \(seed)")
  }

  private func randomValue(_ generator: inout SeededGenerator, depth: Int) -> JSONValue {
    switch generator.next() % (depth > 4 ? 5 : 7) {
    case 0: return .null
    case 1: return .bool(generator.next() % 2 == 0)
    case 2: return .integer(Int64(bitPattern: generator.next()))
    case 3:
      let value = Double(bitPattern: generator.next())
      return .number(value.isFinite ? value : 0.5)
    case 4: return .string(randomText(&generator))
    case 5: return .array((0..<generator.next() % 5).map { _ in randomValue(&generator, depth: depth + 1) })
    default:
      var object = JSONObject()
      for _ in 0..<generator.next() % 14 { object[randomText(&generator)] = randomValue(&generator, depth: depth + 1) }
      return .object(object)
    }
  }

  private func randomText(_ generator: inout SeededGenerator) -> String {
    var text = ""
    for _ in 0..<generator.next() % 6 {
      let limit: UInt64 = generator.next() % 2 == 0 ? 0x80 : 0x20000
      if let scalar = UnicodeScalar(UInt32(generator.next() % limit)) { text.unicodeScalars.append(scalar) }
    }
    return text
  }
}
