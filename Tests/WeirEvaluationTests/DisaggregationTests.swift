// Studies of handoffs on two tiny engines over the real transport.

import Testing
import Weir
import WeirEvaluation
import WeirKVCache
import WeirKVTransfer

private let hasUCX: Bool = {
  guard let transport = try? LocalTransport.make(.tcp, processor: nil, memory: []) else { return false }
  transport.close()
  return true
}()

@Suite(.enabled(if: hasUCX), .serialized) struct DisaggregationTests {
  private func pair(
    _ style: TransferStyleSwitch, _ change: (inout EngineConfiguration) -> Void = { _ in }
  ) throws -> EnginePair {
    func engine(_ number: UInt64) throws -> Engine {
      try EngineEvaluationTests.engine {
        $0.kvBytes = 8 << 20
        $0.blockSlots = 16
        $0.handoff = .local(.sharedMemory, processor: nil, incarnation: number, style: style)
        change(&$0)
      }
    }
    return EnginePair(prefill: try engine(1), decode: try engine(2))
  }

  @Test func everyModeBringsTheRightAnswerInItsNumberOfCalls() async throws {
    let style = TransferStyleSwitch()
    let pair = try pair(style)
    var study = TransferStudy(pair: pair, style: style, clock: SystemClock())
    study.tokens = 320
    study.repetitions = 2
    study.checkedTokens = 4
    let results = try await study.run { bytes in
      try TransferProbe(path: .sharedMemory, byteCount: bytes, processors: nil).measure()
    }
    let calls: [TransferBenchMode: Int] = [
      .layerAwaited: 80, .layerWindow: 80, .staged: 1, .blocks: 20, .coRuns: 1, .raw: 1,
    ]
    for result in results {
      #expect(result.verified == 2 && result.refusals.isEmpty, "\(result.mode): \(result.refusals)")
      let expected = try #require(calls[result.mode])
      #expect(result.operations == [expected, expected], "\(result.mode)")
      #expect(result.bytes == 20 * pair.prefill.information.blockBytes, "\(result.mode)")
      #expect(result.seconds.allSatisfy { $0 > 0 })
    }
    var report = DisaggregationReport()
    report.transfers = results
    report.curve = [results, results]
    report.curveTokens = 320
    #expect(report.table.split(separator: "\n").count == 7 + 2 * 8)
    #expect(report.charts.count == 2 && report.figures["transfers"] != nil)
  }

  @Test func streamedPromptsNeedFewCalls() async throws {
    let style = TransferStyleSwitch()
    let pair = try pair(style) { $0.stepTokens = 128 }
    var study = StreamingStudy(pair: pair, style: style, clock: SystemClock())
    study.tokens = 400
    study.repetitions = 2
    let results = try await study.run()
    for result in results {
      #expect(result.right == 2 && result.gapSeconds.count == 2, "\(result.mode.name)")
      #expect(result.bytes == 25 * pair.prefill.information.blockBytes)
      // Four chunks, each at most one call where nothing is cut.
      let most = result.mode.style.cut == .layers ? 25 * 2 * 2 : result.mode.streams ? 4 : 1
      #expect(result.operations.allSatisfy { $0 <= most }, "\(result.mode.name): \(result.operations)")
    }
    var report = DisaggregationReport()
    report.streaming = results
    #expect(report.table.split(separator: "\n").count == 4 && report.figures["streaming"] != nil)
  }

  @Test func aRequestThroughTwoEnginesIsTheOneThroughOne() async throws {
    let pair = try pair(TransferStyleSwitch())
    let study = EndToEndStudy(pair: pair, clock: SystemClock())
    let prompt = pair.prefill.information.randomPrompt(333, seed: 5)
    let (alone, expected) = try await study.colocated(prompt, answer: 20, on: pair.decode)
    let (through, tokens) = try await study.disaggregated(prompt, answer: 20)
    #expect(tokens == expected && expected.count == 20)
    #expect(through.isRight && through.operations >= 1 && through.handoffSeconds > 0)
    #expect(through.handoffSeconds < through.totalSeconds && alone.handoffSeconds == 0)
    var report = DisaggregationReport()
    report.endToEnd = [("one", [alone]), ("two", [through])]
    #expect(report.table.split(separator: "\n").count == 3)
  }

  @Test func orderStatisticsAreByNearestRank() {
    let spread = Spread([5, 1, 3, 2, 4])
    #expect(spread.median == 3 && spread.best == 1 && spread.quantile(0.99) == 5 && spread.mean == 3)
    #expect(spread.quantile(0.2) == 1 && spread.quantile(0.21) == 2 && Spread([]).median == 0)
  }
}
