// weir eval over HTTP: a server on a free port answers what the evaluation asks.

import Synchronization
import Testing
import WeirBasics
import WeirEngine
import WeirEvaluation
import WeirSampling
import WeirTestSupport
import WeirText

@Suite struct EvaluationTests {
  private static let items = [
    TaskItem(
      id: "chat",
      prompt: .messages([
        TaskMessage(role: "user", content: "My dog is Rex."), TaskMessage(role: "assistant", content: "Noted."),
        TaskMessage(role: "user", content: "What is my dog called?"),
      ]), answers: ["Rex"]),
    TaskItem(id: "raw", prompt: .text("My dog is Rex. It is called"), question: "It is called", answers: ["rex"]),
    TaskItem(id: "wrong", prompt: .text("My cat is called"), question: "My cat", answers: ["Tom"]),
  ]

  private static func respondent(_ server: TestServer, _ timing: QuestionTiming) -> ServerRespondent {
    ServerRespondent(model: "test-model", timing: timing, maxTokens: 16, clock: SystemClock()) { path, body in
      let response = try await server.post(path, body)
      guard response.status == 200 else { throw RawSocket.Failure(description: response.text) }
      let now = SystemClock().now()
      return response.events.map { ServerRespondent.Event(at: now, data: $0.data) }
    }
  }

  @Sendable private static func script(_ request: GenerationRequest) -> EngineScript {
    EngineScript(answer: [.say("It is Rex.\nTom")], cachedTokens: 3)
  }

  @Test func `items are asked over HTTP and judged by their first line`() async throws {
    try await TestServer.with(script: Self.script) { server in
      let outcomes = await EvaluationRun.outcomes(
        of: Self.items, from: Self.respondent(server, .known), inFlight: 2)
      #expect(outcomes.map(\.failure) == [nil, nil, nil])
      #expect(outcomes.map(\.isRight) == [true, true, false])
      for outcome in outcomes {
        let answer = try #require(outcome.answer)
        #expect(answer.text == "It is Rex.")
        #expect(answer.promptTokens > 0 && answer.completionTokens > 0 && answer.cachedTokens == 3, "\(answer)")
      }
      let requests = server.engine.requests
      #expect(requests.count == 3)
      #expect(requests.allSatisfy { $0.sampling.temperature == 0 && $0.maxTokens == 16 })
    }
  }

  @Test func `an unknown question comes after its context`() async throws {
    try await TestServer.with(script: Self.script) { server in
      let outcomes = await EvaluationRun.outcomes(
        of: Self.items, from: Self.respondent(server, .unknown), inFlight: 1)
      #expect(outcomes.map(\.isRight) == [true, true, false])
      // The third question begins where its prompt does: there is no context to send first.
      #expect(server.engine.requests.map(\.maxTokens) == [1, 16, 1, 16, 16])
      let tokenizer = server.engine.information.tokenizer
      let prompts = server.engine.requests.map { tokenizer.decode($0.prompt) }
      #expect(!prompts[0].contains("called") && prompts[1].contains("called"))
      #expect(prompts[2] == "My dog is Rex. ")
      #expect(outcomes[0].answer?.contextTokens ?? 0 > 0)
      #expect(outcomes[2].answer?.contextTokens == 0)
    }
  }

  @Test func `refusals and broken streams are failures of their item`() async throws {
    try await TestServer.with(script: { _ in
      EngineScript(answer: [.say("It"), .fail(EngineError(.internalError, message: "the engine broke"))])
    }) { server in
      let outcomes = await EvaluationRun.outcomes(of: Self.items, from: Self.respondent(server, .known), inFlight: 3)
      for outcome in outcomes { #expect(outcome.failure?.contains("broke") == true, "\(outcome)") }
      let elsewhere = ServerRespondent(model: "no-such-model", timing: .known, maxTokens: 4, clock: SystemClock()) {
        path, body in
        let response = try await server.post(path, body)
        guard response.status == 200 else { throw RawSocket.Failure(description: response.text) }
        return []
      }
      let refused = await EvaluationRun.outcomes(of: Self.items, from: elsewhere, inFlight: 1)
      #expect(refused.allSatisfy { $0.failure?.contains("no-such-model") == true }, "\(refused)")
    }
  }
}
