// Intervals against published values, bins, breakdowns, gates, number text.

import Testing
import WeirBasics
import WeirEvaluation

@Suite struct StatisticsTests {
  /// Limits of Newcombe (1998), table I, method 3; those of 10 of 10 by the formula in Python.
  @Test(arguments: [
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718),
    (10, 10, 0.7225, 1.0000), (29, 29, 0.8830, 1.0000),
  ])
  func `the Wilson interval has its published limits`(correct: Int, count: Int, low: Double, high: Double) {
    let interval = WilsonInterval(correct: correct, count: count)
    #expect(abs(interval.low - low) < 5e-5, "\(interval)")
    #expect(abs(interval.high - high) < 5e-5, "\(interval)")
  }

  @Test func `the Wilson interval of nothing is everything`() {
    #expect(WilsonInterval(correct: 0, count: 0) == WilsonInterval(correct: 0, count: 0))
    #expect(WilsonInterval(correct: 0, count: 0).low == 0)
    #expect(WilsonInterval(correct: 0, count: 0).high == 1)
  }

  @Test(arguments: [
    (0.0, "0"), (-5, "0"), (1, "1"), (2, "2"), (3, "3-4"), (4, "3-4"), (5, "5-8"), (1024, "513-1024"),
    (1025, "1025-2048"), (1024.4, "513-1024"), (1e18, "562949953421313-1125899906842624"),
  ])
  func `bins end at powers of two`(value: Double, label: String) {
    #expect(NumberBins.powersOfTwo.bin(of: value).label == label)
  }

  @Test func `bins end where they are told to`() throws {
    let bins = try #require(NumberBins(upTo: [10, 11, 100]))
    let labels = [0.0, 1, 10, 11, 12, 100, 101].map { bins.bin(of: $0).label }
    #expect(labels == ["0", "1-10", "1-10", "11", "12-100", "12-100", ">100"])
    #expect(bins.bin(of: 12) < bins.bin(of: 101))
    for wrong in [[], [0, 5], [5, 5], [5, 4]] { #expect(NumberBins(upTo: wrong) == nil) }
  }

  @Test func `every tag is broken down, words by value and numbers in order`() {
    let lengths = [100.0, 1000, 90, 2000]
    let results = lengths.enumerated().map { place, length in
      let item = TaskItem(
        id: "\(place)", prompt: .text("p"), answers: ["a"],
        tags: [
          TaskTag(key: "set", value: .word(place < 2 ? "b" : "a")),
          TaskTag(key: "context_tokens", value: .number(length)),
          TaskTag(key: "facts", value: .number(Double(place % 2))),
        ])
      return (item: item, isRight: place != 1)
    }
    let breakdown = Breakdown(results)
    #expect(breakdown.overall == Tally(correct: 3, count: 4))
    #expect(breakdown.sections.map(\.key) == ["set", "context_tokens", "facts"])
    #expect(breakdown.sections.map(\.isNumeric) == [false, true, true])
    #expect(
      breakdown.section("set")?.groups == [
        Breakdown.Group(label: "a", tally: Tally(correct: 2, count: 2)),
        Breakdown.Group(label: "b", tally: Tally(correct: 1, count: 2)),
      ])
    #expect(breakdown.section("context_tokens")?.groups.map(\.label) == ["65-128", "513-1024", "1025-2048"])
    #expect(breakdown.section("facts")?.groups.map(\.label) == ["0", "1"])
  }

  @Test func `many shares are binned by tenths`() {
    let results = (0...20).map { place in
      let tag = TaskTag(key: "depth", value: .number(Double(place) / 20))
      return (item: TaskItem(id: "\(place)", prompt: .text("p"), answers: ["a"], tags: [tag]), isRight: true)
    }
    let groups = Breakdown(results).section("depth")?.groups ?? []
    #expect(groups.map(\.label).first == "0.0-0.1" && groups.map(\.label).last == "0.9-1.0" && groups.count == 10)
    #expect(groups.map(\.tally.count) == [2, 2, 2, 2, 2, 2, 2, 2, 2, 3])
  }

  @Test func `gates are read and judged`() throws {
    let item = TaskItem(
      id: "1", prompt: .text("p"), answers: ["a"],
      tags: [TaskTag(key: "set", value: .word("facts-1k")), TaskTag(key: "kind", value: .word("single"))])
    let breakdown = Breakdown([(item, true), (item, false)])
    let perplexity = Perplexity(tokens: 10, bytes: 40, nats: 20)
    func holds(_ text: String) throws -> Bool {
      let gate = try Gate(text)
      return gate.holds(for: try gate.figure(in: breakdown, perplexity: perplexity))
    }
    for text in [
      "facts-1k>=0.5", "facts-1k >= 50 %", "all<0.6", "kind=single<=.5", "perplexity<7.39", "bits_per_byte>0.7",
    ] {
      #expect(try holds(text), "\(text)")
    }
    for text in ["facts-1k>0.5", "all>=51%", "perplexity<=7.3"] { #expect(try !holds(text), "\(text)") }
    for text in ["facts-1k", ">=0.5", "all>=much", "all>=", "nothing>0"] {
      #expect(throws: Gate.Failure.self, "\(text)") { try holds(text) }
    }
    #expect(throws: Gate.Failure.self) { try Gate("perplexity<9").figure(in: breakdown, perplexity: nil) }
  }

  @Test func `numbers are written the same everywhere`() {
    #expect(NumberText.fixed(2.5, 0) == "3")
    #expect(NumberText.fixed(-0.04, 1) == "0.0")
    #expect(NumberText.fixed(-1.25, 1) == "-1.3")
    #expect(NumberText.fixed(1234.5678, 2) == "1234.57")
    #expect(NumberText.fixed(.nan, 2) == "nan")
    #expect(NumberText.percent(0.9545) == "95.5 %")
    #expect(NumberText.plain(2048) == "2048")
  }

  @Test func `perplexity is the exponential of the mean`() {
    let perplexity = Perplexity(tokens: 4, bytes: 8, nats: 8)
    #expect(abs(perplexity.value - 7.38905609893065) < 1e-12)
    #expect(abs(perplexity.bitsPerByte - 1.4426950408889634) < 1e-12)
  }

  @Test func `configurations are named, swept and told apart`() throws {
    #expect(
      try NamedFlags("q8: --kv-cache-dtype q8_0  --threads 1")
        == NamedFlags(name: "q8", flags: ["--kv-cache-dtype", "q8_0", "--threads", "1"]))
    #expect(try NamedFlags("--kv-cache-dtype q8_0").name == "kv-cache-dtype q8_0")
    #expect(try NamedFlags("base:").flags.isEmpty)
    let all = try NamedFlags.all(configurations: [], sweeps: ["a=1,2", "b=x,y"], defaultName: "m")
    #expect(all.map(\.name) == ["a=1 b=x", "a=1 b=y", "a=2 b=x", "a=2 b=y"])
    #expect(all[2].flags == ["--a", "2", "--b", "x"])
    #expect(
      try NamedFlags.all(configurations: [], sweeps: [], defaultName: "m") == [NamedFlags(name: "m", flags: [])])
    for wrong in [["kv q8_0"], ["", "x:"], ["a:", "a: --x 1"]] {
      #expect(throws: EvaluationError.self, "\(wrong)") {
        try NamedFlags.all(configurations: wrong, sweeps: [], defaultName: "m")
      }
    }
    for wrong in [["a"], ["a="], ["=1"]] {
      #expect(throws: EvaluationError.self, "\(wrong)") {
        try NamedFlags.all(configurations: [], sweeps: wrong, defaultName: "m")
      }
    }
  }
}
