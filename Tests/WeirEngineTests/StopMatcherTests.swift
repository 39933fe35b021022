import Testing

@testable import WeirEngine

@Suite struct StopMatcherTests {
  @Test func holdsBackWhatMayBecomeAStopString() {
    var matcher = StopMatcher(stopStrings: ["\n\nUser:"], includesStop: false)
    #expect(matcher.append("Hello.\n") == "Hello.")
    #expect(matcher.append("\nUs") == "")
    #expect(matcher.append("ing it") == "\n\nUsing it")
    #expect(matcher.append(" end\n\nUser: x") == " end")
    #expect(matcher.matched == "\n\nUser:")
    #expect(matcher.append("more") == "")
  }

  @Test func keepsTheStopStringWhenAsked() {
    var matcher = StopMatcher(stopStrings: ["END"], includesStop: true)
    #expect(matcher.append("the END.") == "the END")
  }

  @Test func aShorterStopInsideALongerCandidateWins() {
    var matcher = StopMatcher(stopStrings: ["abcX", "b"], includesStop: false)
    #expect(matcher.append("ab") == "a")
    #expect(matcher.matched == "b")
  }

  @Test func givesBackTheHeldTail() {
    var matcher = StopMatcher(stopStrings: ["stop"], includesStop: false)
    #expect(matcher.append("a sto") == "a ")
    #expect(matcher.finish() == "sto")
  }

  /// Any way of cutting a text into deltas gives the same text before the stop string.
  @Test(arguments: [3, 4, 5] as [UInt64]) func cutsDoNotMatter(seed: UInt64) {
    var state = seed
    func draw(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let text = "aäb–ab–aXäa–b–aaäb end äb–c tail"
    for _ in 0..<200 {
      var matcher = StopMatcher(stopStrings: ["–c", "äb–c"], includesStop: false)
      var sent = ""
      var rest = Substring(text)
      while !rest.isEmpty {
        let count = min(draw(4) + 1, rest.count)
        sent += matcher.append(String(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      sent += matcher.finish()
      #expect(sent == "aäb–ab–aXäa–b–aaäb end ", "seed \(seed)")
    }
  }
}
