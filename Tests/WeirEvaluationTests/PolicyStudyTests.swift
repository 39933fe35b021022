// Studies of KV policies: on the tiny engine, and as report of made-up outcomes.

import Testing
import Weir
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies

@Suite struct PolicyStudyTests {
  private static func point(
    _ policy: String, _ budget: KVPolicyRequest.Budget, _ timing: QuestionTiming = .known
  ) -> PolicyPoint {
    PolicyPoint(policy: policy, budget: "\(budget)", timing: timing) { _ in
      KVPolicyRequest(name: policy, budget: budget).adding("chunk", "end").adding("slack", "0")
    }
  }

  @Test func `with room for everything every policy gives the full cache's answers`() async throws {
    let engine = try EngineEvaluationTests.engine { $0.policies = KVPolicyCatalogue() }
    let items = EngineEvaluationTests.questions(12)
    let study = PolicyStudy(engine: engine, clock: SystemClock(), maxTokens: 8, inFlight: 4)
    let full = try await study.result(
      at: PolicyPoint(policy: "full", budget: nil, timing: .known) { _ in nil }, items)
    // The last token of an answer is never computed.
    #expect(full.failures.isEmpty && full.keptShare > 0.97)
    for key in KVPolicyKey.allCases where key != .full {
      for timing in QuestionTiming.allCases {
        let ample = try await study.result(at: Self.point(key.rawValue, .slots(1000), timing), items)
        #expect(ample.outcomes.map { $0.answer?.text } == full.outcomes.map { $0.answer?.text }, "\(key), \(timing)")
        #expect(ample.keptShare > 0.97, "\(key), \(timing)")
      }
    }
  }

  @Test func `small budgets are kept and counted`() async throws {
    // What a policy keeps does not outlive its request, so it needs no prefix cache to meet the question late.
    let engine = try EngineEvaluationTests.engine {
      $0.policies = KVPolicyCatalogue()
      $0.prefixCache = false
    }
    let items = EngineEvaluationTests.questions(9)
    let study = PolicyStudy(engine: engine, clock: SystemClock(), maxTokens: 8, inFlight: 4)
    // sentencekv keeps everything.
    for key in KVPolicyKey.allCases where key != .sentencekv && key != .full {
      for timing in QuestionTiming.allCases {
        let result = try await study.result(at: Self.point(key.rawValue, .slots(16), timing), items)
        #expect(result.failures.isEmpty, "\(key), \(timing): \(result.failures)")
        for outcome in result.outcomes {
          let kv = try #require(outcome.answer?.kv)
          #expect(kv.maximumSlots <= 17, "\(key), \(timing): \(kv)")
        }
        #expect(result.keptShare < 0.6 && result.questions >= items.count, "\(key), \(timing)")
        #expect(result.peakBytes > 0)
      }
    }
  }

  @Test func `a policy that the engine does not know fails item by item`() async throws {
    let engine = try EngineEvaluationTests.engine { $0.policies = KVPolicyCatalogue() }
    let items = EngineEvaluationTests.questions(3)
    let study = PolicyStudy(engine: engine, clock: SystemClock(), maxTokens: 4, inFlight: 2)
    let result = try await study.result(at: Self.point("h20", .slots(16)), items)
    #expect(result.failures.count == 3)
    #expect(result.failures.allSatisfy { $0.contains("h2o") })
  }

  @Test func `the report has a row, an object and a point for every result`() throws {
    let items = EngineEvaluationTests.questions(4)
    func result(_ policy: String, _ budget: String?, _ timing: QuestionTiming, slots: Double, right: Int)
      -> PolicyResult
    {
      var answer = ItemAnswer()
      answer.promptTokens = 90
      answer.completionTokens = 10
      answer.kv = KVUsage(policy: policy, minimumSlots: 1, meanSlots: slots, maximumSlots: 99, peakBytes: 2048)
      answer.kv?.decodeTokens = 9
      answer.kv?.decodeSlots = 9 * 16
      return PolicyResult(
        point: PolicyPoint(policy: policy, budget: budget, timing: timing) { _ in nil },
        outcomes: items.indices.map { ItemOutcome(answer: answer, isRight: $0 < right) }, seconds: 2, questions: 8,
        policySeconds: 0.5)
    }
    let report = PolicyReport(
      items: items,
      results: [
        result("full", nil, .known, slots: 99, right: 4), result("h2o", "50%", .known, slots: 50, right: 3),
        result("h2o", "20%", .known, slots: 20, right: 2), result("tova", "20%", .unknown, slots: 20, right: 1),
      ], slotBytes: 256)
    let lines = report.table.split(separator: "\n").map(String.init)
    #expect(lines.count == 6)
    #expect(lines[2].contains("50.0 %") && lines[2].contains("75.0 %") && lines[2].contains("2 KiB"), "\(lines[2])")
    #expect(lines[4].contains("unknown") && lines[4].contains("25.0 %"), "\(lines[4])")
    let points = try #require(report.figures["points"]?.array)
    #expect(points.count == 4)
    #expect(points[1]["kept_share"]?.double == 0.5)
    #expect(points[3]["exact_match"]?["correct"]?.int == 1)
    #expect(points[1]["decode_read_bytes_per_token"]?.double == 4096)
    #expect(points[1]["by_tag"]?["set"]?["even"]?["count"]?.int == 2)
    let charts = report.charts.compactMap { chart -> LineChart? in if case .line(let line) = chart { line } else { nil }
    }
    #expect(charts.count == 2)
    #expect(charts[0].series.map(\.name) == ["h2o"])
    #expect(charts[0].series[0].points.map(\.x) == [20, 50, 99])
    #expect(charts[0].series[0].points.map(\.y) == [50, 75, 100])
    #expect(charts[1].series[0].points.map(\.x) == [20, 99])
  }
}
