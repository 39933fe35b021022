// Names, parameters and budgets, right and wrong.

import Testing
import WeirBasics
import WeirKVCache
import WeirPolicies

@Suite struct KVPolicyCatalogueTests {
  private func make(
    _ name: String, _ budget: KVPolicyRequest.Budget? = .slots(100), prompt: Int = 1000
  ) throws -> KVPolicy {
    try KVPolicyCatalogue().policy(
      for: KVPolicyRequest(name: name, budget: budget),
      facts: KVPolicyFacts(promptTokens: prompt, layers: 4, kvHeads: 2))
  }

  private func error(_ name: String, _ budget: KVPolicyRequest.Budget? = .slots(100)) -> KVPolicyError? {
    do {
      _ = try make(name, budget)
      return nil
    } catch {
      return error as? KVPolicyError
    }
  }

  @Test func theOperatorBoundsWhatRequestsMayName() throws {
    let limited = KVPolicyCatalogue(limits: KVPolicyLimits(allowed: [.h2o, .snapkv], slotsMax: 64))
    let facts = KVPolicyFacts(promptTokens: 1000, layers: 2, kvHeads: 2)
    func error(_ name: String, _ budget: KVPolicyRequest.Budget?) -> KVPolicyError? {
      do throws(KVPolicyError) {
        _ = try limited.policy(for: KVPolicyRequest(name: name, budget: budget), facts: facts)
        return nil
      } catch {
        return error
      }
    }
    #expect(error("h2o", .slots(64)) == nil && error("snapkv", .ratio(0.06)) == nil)
    #expect(error("full", nil)?.code == "policy_not_allowed" && error("tova", .slots(32))?.code == "policy_not_allowed")
    #expect(error("tova", .slots(32))?.message.contains("snapkv, h2o") == true)
    #expect(error("h2o", .slots(65))?.code == "invalid_policy_budget")
    // A share counts by what it comes to.
    #expect(error("h2o", .ratio(0.1))?.message.contains("100 slots") == true)
    #expect(error("h2o", .ratio(0.1))?.message.contains("at most 64") == true)
  }

  @Test func aWrongNameListsTheRightOnes() throws {
    let wrong = try #require(error("h20"))
    #expect(wrong.code == "unknown_policy")
    for key in KVPolicyKey.allCases { #expect(wrong.message.contains(key.rawValue)) }
    #expect(error("")?.code == "unknown_policy")
    #expect(error("H2O")?.code == "unknown_policy")
  }

  @Test func sentencesAreChosenFromEverythingOrFromWhatIsKept() throws {
    func policy(_ name: String) throws -> KVPolicy {
      try KVPolicyCatalogue().policy(
        for: KVPolicyRequest(name: name, budget: .slots(100)),
        facts: KVPolicyFacts(promptTokens: 1000, layers: 2, kvHeads: 2))
    }
    let whole = try policy("sentencekv:sentence=20,query=newest,chunk=end")
    #expect(whole.selection.readSlots == 100 && !whole.selection.averagesQueries && whole.signals.isEmpty)
    #expect(whole.budget.budgetSlots(layer: 0, kvHead: 0) == nil)
    let kept = try policy("sentencekv:keep=3")
    #expect(kept.budget.budgetSlots(layer: 1, kvHead: 1) == 300 && kept.cadence.endsWithPrompt)
    #expect(kept.cadence.chunkTokens == nil && !kept.signals.isEmpty && kept.selection.averagesQueries)
    let shared = try policy("sentencekv:heads=share,vector=2").selection
    #expect(shared.comparesHeads && shared.sharesHeads && shared.abstractTokens == 2)
    let each = try policy("sentencekv:heads=each").selection
    #expect(each.comparesHeads && !each.sharesHeads && each.abstractTokens == nil)
    #expect(error("sentencekv", .slots(64)) == nil)
    for name in [
      "sentencekv:keep=0", "sentencekv:query=last", "sentencekv:abstract=max", "sentencekv:sentence=0",
      "sentencekv:window=3", "sentencekv:vector=0", "sentencekv:heads=all", "sentencekv:abstract=keys,vector=1",
    ] {
      #expect(error(name, .slots(64))?.code.hasSuffix("policy_parameter") == true, "\(name)")
    }
  }

  @Test(arguments: [
    KVPolicyRequest.Budget.slots(7), .slots(0), .slots(-5), .ratio(0), .ratio(-0.5), .ratio(1.01), .ratio(.nan),
    .ratio(.infinity),
  ]) func budgetsOutOfRangeAreRefused(budget: KVPolicyRequest.Budget) {
    for key in KVPolicyKey.allCases {
      #expect(error(key.rawValue, budget)?.code == "invalid_policy_budget", "\(key) with \(budget)")
    }
  }

  @Test func onlyTheFullCacheNeedsNoBudget() throws {
    for sample in KVPolicySample.all {
      let wrong = error(sample.key.rawValue, nil)
      #expect(sample.key == .full ? wrong == nil : wrong?.code == "invalid_policy_budget", "\(sample)")
    }
  }

  @Test(arguments: [
    ("h2o:page=0", "page", "1...64"), ("h2o:decay=1.5", "decay", "1.5"), ("h2o:decay=0", "decay", "0"),
    ("h2o:recent_share=-0.1", "recent_share", "-0.1"),
    ("snapkv:kernel=4", "kernel", "odd"), ("snapkv:pooling=sum", "pooling", "max or mean"),
    ("snapkv:window=0", "window", "1...256"), ("sink-recent:positions=cache", "positions", "text or slots"),
    ("random:seed=x", "seed", "x"), ("oracle:spans=5", "spans", "start-end"),
    ("oracle:spans=9-5", "spans", "9-5"), ("tova:chunk=0", "chunk", "end"), ("tova:slack=1025", "slack", "0...1024"),
    ("tova:sinks=60,recent=40", "sinks", "100"), ("tova:slack", "slack", "key=value"),
    ("tova:slack=1,slack=2", "slack", "once"),
  ]) func wrongParametersAreNamed(name: String, parameter: String, hint: String) throws {
    let wrong = try #require(error(name), "\(name) must be refused")
    #expect(wrong.code == "invalid_policy_parameter")
    #expect(wrong.message.contains(parameter) && wrong.message.contains(hint), "\(wrong.message)")
  }

  @Test func anUnknownParameterListsTheRightOnes() throws {
    let wrong = try #require(error("h2o:window=3"))
    #expect(wrong.code == "unknown_policy_parameter")
    for known in ["recent_share", "decay", "sinks", "recent", "chunk", "slack"] {
      #expect(wrong.message.contains(known))
    }
    #expect(error("full:slack=1")?.message.contains("none") == true)
  }

  @Test func aShareOfAShortPromptIsLiftedOverItsFloors() throws {
    let short = try make("h2o:sinks=4,recent=32", .ratio(0.25), prompt: 1)
    #expect(short.floors == RetentionFloors(sinkSlots: 4, recentSlots: 32))
    #expect(short.budget.budgetSlots(layer: 0, kvHead: 0) == 37)
    let long = try make("h2o:sinks=4,recent=32", .ratio(0.25), prompt: 1000)
    #expect(long.floors == short.floors && long.budget.budgetSlots(layer: 0, kvHead: 0) == 250)
  }

  @Test func parametersReachThePolicy() throws {
    let h2o = try make("h2o:decay=0.5,recent_share=0.25,sinks=1,recent=2,chunk=end,slack=0")
    #expect(h2o.signals == [.accumulatedMass(decay: 0.5)])
    #expect(h2o.floors == RetentionFloors(sinkSlots: 1, recentSlots: 2))
    #expect(h2o.cadence == RetentionCadence(chunkTokens: nil, slackSlots: 0))
    #expect((h2o.retention as? HeavyHitter)?.configuration.recentShare == 0.25)
    let snap = try make("snapkv:window=16,kernel=5,pooling=mean,chunk=64")
    #expect(snap.signals == [.windowRows(rows: 16, reduction: .mean)])
    #expect(snap.cadence.chunkTokens == 64)
    #expect(
      (snap.retention as? ObservationWindow)?.configuration
        == ObservationWindow.Configuration(windowRows: 16, kernelSlots: 5, pooling: .mean))
    #expect((try make("oracle:spans=3-5+9-9").retention as? ToldSpans)?.spans == [3..<5, 9..<9])
    #expect((try make("random:seed=7").retention as? RandomSlots)?.seed == 7)
  }

  @Test func defaultsAreThoseOfThePapers() throws {
    #expect(try make("snapkv").cadence.chunkTokens == nil)
    #expect(try make("tova").scope == .layer)
    #expect(try make("sink-recent").numbering == .text && make("sink-recent:positions=slots").numbering == .slots)
    #expect(error("tova:positions=slots")?.code == "unknown_policy_parameter")
    #expect(try make("h2o").scope == .head)
    #expect(try make("h2o", .slots(256)).floors == RetentionFloors(sinkSlots: 4, recentSlots: 32))
    #expect(try make("h2o", .slots(16)).floors == RetentionFloors(sinkSlots: 2, recentSlots: 4))
    #expect(try make("full").signals.isEmpty)
  }

  @Test func aRatioIsOfThePrompt() throws {
    func slots(_ budget: KVPolicyRequest.Budget, _ prompt: Int) throws -> Int? {
      try make("tova", budget, prompt: prompt).budget.budgetSlots(layer: 1, kvHead: 1)
    }
    #expect(try slots(.ratio(0.25), 1000) == 250)
    #expect(try slots(.ratio(0.25), 10) == 8)
    #expect(try slots(.ratio(1), 1000) == 1000)
    #expect(try slots(.slots(300), 10) == 300)
  }

  @Test func parametersCanBeAddedToARequest() {
    let plain = KVPolicyRequest(name: "h2o", budget: .slots(9))
    let more = plain.adding("slack", "0").adding("decay", "0.5")
    #expect(more == KVPolicyRequest(name: "h2o:slack=0,decay=0.5", budget: .slots(9)))
  }
}
