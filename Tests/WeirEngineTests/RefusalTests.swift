// What the engine refuses, and what it gives back when a client goes.

import Testing
import Weir

@Suite struct RefusalTests {
  private func error(of request: GenerationRequest, _ engine: Engine) async -> EngineError? {
    do {
      _ = try await Answer.of(request, engine)
      return nil
    } catch {
      return error as? EngineError
    }
  }

  @Test func refusesAPromptThatIsTooLong() async throws {
    let engine = try EngineFixture.engine()
    let failure = await error(of: EngineFixture.request(EngineFixture.prompt(512)), engine)
    #expect(failure?.kind == .contextLengthExceeded)
    #expect(failure?.message.contains("511") == true)
  }

  @Test func refusesForeignTokensAndBadFields() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request([TokenID(4_000_000)])
    #expect(await error(of: request, engine)?.param == "prompt")
    request = EngineFixture.request([])
    #expect(await error(of: request, engine)?.kind == .invalidRequest)
    request = EngineFixture.request(EngineFixture.prompt(5))
    request.choices = 0
    #expect(await error(of: request, engine)?.param == "n")
    request = EngineFixture.request(EngineFixture.prompt(5))
    request.sampling.topP = 3
    #expect(await error(of: request, engine)?.kind == .invalidRequest)
  }

  @Test func leavingTheStreamFreesItsBlocksAtOnce() async throws {
    let engine = try EngineFixture.engine()
    var seen = 0
    for try await event in engine.generate(EngineFixture.request(EngineFixture.prompt(100), maxTokens: 400)) {
      if case .token = event { seen += 1 }
      if seen == 3 { break }
    }
    try await expectIdle(engine)
    await engine.clearPrefixCache()
    try await expectIdle(engine)
    let load = await engine.status().load
    #expect(load.freeBlocks == load.totalBlocks)
  }

  @Test func cancelEndsARequestByName() async throws {
    // Long enough that it still runs when the cancellation arrives, however busy the machine is.
    let engine = try EngineFixture.engine {
      $0.contextLength = 60_000
      $0.kvBytes = 512 << 20
    }
    let stream = engine.generate(EngineFixture.request(EngineFixture.prompt(50), maxTokens: 59_000, name: "victim"))
    var reason: FinishReason?
    var cancelled = false
    for try await event in stream {
      if case .token = event, !cancelled {
        cancelled = true
        #expect(await engine.cancel(RequestID("victim")))
      }
      if case .finished(let end) = event { reason = end.reason }
    }
    #expect(reason == .cancelled)
    #expect(await engine.cancel(RequestID("victim")) == false)
  }

  @Test func aDrainingEngineRefusesAndFinishesWhatRuns() async throws {
    let engine = try EngineFixture.engine()
    var tokens = 0
    var draining: Task<Void, Never>?
    for try await event in engine.generate(EngineFixture.request(EngineFixture.prompt(50), maxTokens: 300)) {
      guard case .token = event else { continue }
      tokens += 1
      if draining == nil { draining = Task { await engine.drain(timeoutSeconds: 60) } }
    }
    await draining?.value
    #expect(tokens == 300)
    #expect(await error(of: EngineFixture.request(EngineFixture.prompt(5)), engine)?.kind == .draining)
  }

  @Test func aPausedEngineHoldsRequestsUntilItResumes() async throws {
    let engine = try EngineFixture.engine()
    await engine.pause()
    async let waiting = Answer.of(EngineFixture.request(EngineFixture.prompt(10), maxTokens: 3), engine)
    while await engine.status().load.waitingRequests == 0 { try await Task.sleep(for: .milliseconds(1)) }
    #expect(await engine.status().counters.generatedTokens == 0)
    await engine.resume()
    #expect(try await waiting.tokens[0]?.count == 3)
  }

  private func expectIdle(_ engine: Engine) async throws {
    for _ in 0..<12000 {
      let load = await engine.status().load
      if load.runningSequences == 0 && load.waitingRequests == 0 { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("the engine still runs something")
  }
}
