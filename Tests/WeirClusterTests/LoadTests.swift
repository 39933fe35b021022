// Smoothing, measured speeds, and the router's picture of the cluster.

import Testing
import WeirBasics
import WeirCluster

@Suite struct LoadTests {
  @Test func aWindowFollowsAStepInItsTime() throws {
    let clock = ManualClock()
    var window = LoadWindow(windowSeconds: 2)
    var vector = LoadVector()
    window.add(vector, now: clock.now())
    vector.kvUsage = 1
    // 2 s in ticks of 0.25 s: 1 - (1 - 0.25 / 2.25)^8 = 61 %, an exact exponential would be at 63 %.
    for _ in 0..<8 {
      clock.advance(bySeconds: 0.25)
      window.add(vector, now: clock.now())
    }
    let average = try #require(window.average)
    #expect((0.6...0.62).contains(average.kvUsage), "\(average.kvUsage)")
    clock.advance(bySeconds: 1e6)
    window.add(vector, now: clock.now())
    #expect(try #require(window.average).kvUsage > 0.9999)
  }

  @Test func aWindowOfNoLengthSmoothsNothing() {
    var window = LoadWindow(windowSeconds: 0)
    for usage in [0.2, 0.9] {
      var vector = LoadVector()
      vector.kvUsage = usage
      window.add(vector, now: Instant(nanoseconds: 5))
      #expect(window.average == vector)
    }
  }

  @Test func idleTimeDoesNotMakeANodeLookSlow() throws {
    let clock = ManualClock()
    var meter = RateMeter(windowSeconds: 10)
    #expect(meter.rate(now: clock.now()) == nil)
    meter.add(amount: 10, seconds: 0.01, now: clock.now())
    #expect(meter.rate(now: clock.now()) == nil, "too little to say")
    for _ in 0..<50 {
      clock.advance(bySeconds: 30)
      meter.add(amount: 500, seconds: 0.5, now: clock.now())
    }
    clock.advance(bySeconds: 7)
    let rate = try #require(meter.rate(now: clock.now()))
    #expect(abs(rate.perSecond - 1000) < 1e-6)
    #expect(abs(rate.ageSeconds - 7) < 1e-9)
    // A change of speed shows after about a window of busy time.
    for _ in 0..<60 { meter.add(amount: 100, seconds: 0.5, now: clock.now()) }
    #expect(try #require(meter.rate(now: clock.now())).perSecond < 300)
    meter.add(amount: .nan, seconds: 1, now: clock.now())
    meter.add(amount: 1, seconds: 0, now: clock.now())
    #expect(try #require(meter.rate(now: clock.now())).perSecond.isFinite)
  }
}

@Suite struct StepMeterTests {
  /// True speeds: 1000 prompt tokens/s, 20 ms a step and 1 ms a row.
  private func seconds(_ tokens: Int, _ rows: Int) -> Double {
    Double(tokens) / 1000 + (rows == 0 ? 0 : 0.02 + 0.001 * Double(rows))
  }

  @Test(arguments: [1, 2, 3] as [UInt64]) func mixedStepsMeasureBothSpeeds(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let clock = ManualClock()
    var meter = StepMeter()
    for round in 0..<500 {
      // At first pure steps, then nothing but mixed ones.
      let (tokens, rows) = round < 10 ? (256, 0) : round < 20 ? (0, 8) : (64 + Int(generator.next() % 192), 8)
      clock.advance(bySeconds: seconds(tokens, rows))
      meter.add(prefillTokens: tokens, decodeRows: rows, seconds: seconds(tokens, rows), now: clock.now())
    }
    let speeds = meter.speeds(now: clock.now())
    let prefill = try #require(speeds.prefillTokens)
    let decode = try #require(speeds.decodeTokens)
    #expect(abs(prefill.perSecond - 1000) < 50, "seed \(seed): \(prefill)")
    #expect(abs(decode.perSecond - 8 / 0.028) < 30, "seed \(seed): \(decode)")
    #expect(abs(speeds.decodeBatch - 8) < 0.01)
    #expect(decode.ageSeconds < 11, "seed \(seed): an old measurement is renewed from mixed steps")
  }

  @Test func aNodeThatNeverRanAPureStepIsMeasuredToo() throws {
    let clock = ManualClock()
    var meter = StepMeter()
    #expect(meter.speeds(now: clock.now()) == MeasuredSpeeds())
    for _ in 0..<100 {
      clock.advance(bySeconds: seconds(256, 4))
      meter.add(prefillTokens: 256, decodeRows: 4, seconds: seconds(256, 4), now: clock.now())
    }
    // Nothing tells the parts apart: prefill comes out at least as slow as the whole step says.
    let prefill = try #require(meter.speeds(now: clock.now()).prefillTokens)
    #expect(prefill.perSecond > 256 / seconds(256, 4) * 0.99)
    #expect(meter.speeds(now: clock.now()).decodeTokens != nil)
  }
}

@Suite struct UsageMeterTests {
  @Test func sharesFollowWhatTheTimeWasSpentOn() {
    var meter = UsageMeter(windowSeconds: 2)
    var now = Instant(nanoseconds: 0)
    #expect(meter.shares(now: now) == (0, 0))
    // Half of the time prefill, a quarter decode, a quarter nothing, in steps of 50 ms.
    for _ in 0..<400 {
      for prefills in [true, true, false] {
        now = now.advanced(bySeconds: 0.05)
        meter.add(prefills: prefills, seconds: 0.05, now: now)
      }
      now = now.advanced(bySeconds: 0.05)
    }
    let busy = meter.shares(now: now)
    #expect(abs(busy.prefill - 0.5) < 0.05 && abs(busy.decode - 0.25) < 0.05, "\(busy)")
    let rested = meter.shares(now: now.advanced(bySeconds: 20))
    #expect(rested.prefill < 0.06 && rested.decode < 0.03)
    #expect(meter.shares(now: now).prefill + meter.shares(now: now).decode <= 1)
  }
}

@Suite struct ClusterViewTests {
  private let model = ModelFingerprint("sha256:00ff")

  private func view(_ ids: [String], _ clock: ManualClock) -> ClusterView {
    var view = ClusterView()
    view.apply(.snapshot(ids.map { Member(description: Samples.node($0)) }), now: clock.now())
    return view
  }

  @Test func aBurstIsSpreadBeforeTheNextReportComes() throws {
    let clock = ManualClock()
    var view = view(["a", "b"], clock)
    let request = RouteRequest(
      request: RequestID("r"), model: model, promptTokens: 100, expectedOutputTokens: 50, hitTokens: [NodeID("a"): 32])
    let route = Route(
      prefill: NodeID("a"), decode: NodeID("b"),
      reasons: RouteReasons(policy: "test", sentence: "", options: [], refusals: []))
    view.placed(route, request, now: clock.now())
    var facts = view.facts(now: clock.now())
    #expect(facts.map(\.report.queues.waitingPromptTokens) == [68, 0])
    #expect(facts.map(\.report.waitingDecodes) == [0, 1])
    #expect(facts.map(\.report.promisedBlocks) == [7, 10])
    // A report that was on its way already cannot know of it; a later one does.
    clock.advance(bySeconds: 0.1)
    view.apply(.reported(Samples.report("a", sequence: 1)), now: clock.now())
    facts = view.facts(now: clock.now())
    #expect(facts[0].report.queues.waitingPromptTokens == 68)
    clock.advance(bySeconds: 0.3)
    view.apply(.reported(Samples.report("a", sequence: 2)), now: clock.now())
    facts = view.facts(now: clock.now())
    #expect(facts[0].report.queues.waitingPromptTokens == 0)
    #expect(facts[0].report.promisedBlocks == 10)
  }

  @Test func whatHasEndedIsNotCountedUntilTheNextReport() {
    let clock = ManualClock()
    var view = view(["a", "b"], clock)
    func request(_ id: String) -> RouteRequest {
      RouteRequest(request: RequestID(id), model: model, promptTokens: 100, expectedOutputTokens: 50)
    }
    let route = Route(
      prefill: NodeID("a"), decode: NodeID("b"),
      reasons: RouteReasons(policy: "test", sentence: "", options: [], refusals: []))
    for id in ["r", "s"] { view.placed(route, request(id), now: clock.now()) }
    view.ended(RequestID("r"), on: NodeID("b"))
    view.ended(RequestID("r"), on: NodeID("b"))
    view.ended(RequestID("t"), on: NodeID("a"))
    let facts = view.facts(now: clock.now())
    #expect(facts.map(\.report.queues.waitingRequests) == [2, 0])
    #expect(facts.map(\.report.waitingDecodes) == [0, 1])
  }

  @Test func silenceMeansDeathUnlessTheRegistryIsSilentToo() {
    let clock = ManualClock()
    var view = view(["a"], clock)
    clock.advance(bySeconds: 2)
    #expect(view.facts(now: clock.now())[0].isAlive)
    view.apply(.interrupted(.unreachable("x")), now: clock.now())
    clock.advance(bySeconds: 100)
    view.apply(.interrupted(.unreachable("x")), now: clock.now())
    #expect(view.facts(now: clock.now())[0].isAlive, "while the registry is away, nobody is taken for dead")
    #expect(!view.isConnected)
    view.apply(.snapshot([Member(description: Samples.node("a"))]), now: clock.now())
    #expect(view.isConnected)
    #expect(view.facts(now: clock.now())[0].isAlive)
    clock.advance(bySeconds: 4)
    #expect(!view.facts(now: clock.now())[0].isAlive)
  }

  @Test func whoIsSilentIsToldWhetherOrNotTheRegistryIs() {
    let clock = ManualClock()
    var view = view(["a", "b"], clock)
    view.apply(.interrupted(.unreachable("x")), now: clock.now())
    clock.advance(bySeconds: 0.8)
    view.apply(.reported(Samples.report("b", sequence: 0)), now: clock.now())
    clock.advance(bySeconds: 0.8)
    #expect(view.silent(longerThan: 1, now: clock.now()) == [NodeID("a")])
    #expect(view.silent(longerThan: 2, now: clock.now()).isEmpty)
  }

  @Test func aSuspectTakesNothingUntilItSpeaksAgain() {
    let clock = ManualClock()
    var view = view(["a", "b"], clock)
    view.suspect(NodeID("a"))
    #expect(view.facts(now: clock.now()).map(\.isAlive) == [false, true])
    view.apply(.reported(Samples.report("a", sequence: 0)), now: clock.now())
    #expect(view.facts(now: clock.now()).map(\.isAlive) == [true, true])
  }

  @Test func whatADeadPredecessorSaidIsIgnored() {
    let clock = ManualClock()
    var view = view(["a"], clock)
    view.apply(.reported(Samples.report("a", sequence: 50, waitingTokens: 900)), now: clock.now())
    view.apply(.joined(Samples.node("a", incarnation: 2)), now: clock.now())
    #expect(view.facts(now: clock.now())[0].report.queues.waitingPromptTokens == 0)
    view.apply(.reported(Samples.report("a", incarnation: 1, sequence: 51, waitingTokens: 900)), now: clock.now())
    #expect(view.facts(now: clock.now())[0].report.queues.waitingPromptTokens == 0)
    view.apply(.reported(Samples.report("a", incarnation: 2, sequence: 0, waitingTokens: 5)), now: clock.now())
    #expect(view.facts(now: clock.now())[0].report.queues.waitingPromptTokens == 5)
    view.apply(.left(NodeID("a"), .deleted), now: clock.now())
    #expect(view.facts(now: clock.now()).isEmpty)
  }
}
