// What a request can ask of the engine, on a tiny random model.

import Foundation
import Testing
import Weir
import WeirKVCache

@Suite struct EngineTests {
  @Test func endsAtTheTokenLimit() async throws {
    let engine = try EngineFixture.engine()
    let answer = try await Answer.of(EngineFixture.request(EngineFixture.prompt(20), maxTokens: 7), engine)
    #expect(answer.tokens[0]?.count == 7 && answer.reasons[0] == .length)
    #expect(answer.usage?.completionTokens == 7 && answer.usage?.promptTokens == 20)
  }

  /// The stop token is told like every other, so that tokens, log-probabilities and usage agree; its text is not.
  @Test func aStopTokenIsCountedButAddsNoText() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(20), maxTokens: 20)
    request.topLogprobs = 1
    let free = try await Answer.of(request, engine)
    let third = try #require(free.tokens[0]?[3])
    let firstPlace = try #require(free.tokens[0]?.firstIndex(of: third))
    request.stopTokens = [third]
    let stopped = try await Answer.of(request, engine)
    #expect(stopped.tokens[0] ?? [] == Array(free.tokens[0]?.prefix(firstPlace + 1) ?? []))
    #expect(stopped.logprobs == Array(free.logprobs.prefix(firstPlace + 1)))
    #expect(stopped.usage?.completionTokens == firstPlace + 1)
    request.stopTokens = []
    request.maxTokens = firstPlace
    let cut = try await Answer.of(request, engine)
    #expect(stopped.text == cut.text)
    #expect(stopped.reasons[0] == .stop && stopped.ends.first?.stopToken == third)
  }

  @Test func anEndTokenIsCountedButAddsNoText() async throws {
    let engine = try EngineFixture.engine()
    let end = try #require(engine.information.tokenizer.endTokens.first)
    var request = EngineFixture.request(EngineFixture.prompt(20), maxTokens: 20)
    request.ignoreEndTokens = false
    request.topLogprobs = 0
    request.sampling.logitBias = [end: 100]
    let answer = try await Answer.of(request, engine)
    #expect(answer.tokens == [0: [end]] && answer.text == [0: ""])
    #expect(answer.logprobs.map(\.token) == [end] && answer.usage?.completionTokens == 1)
    #expect(answer.reasons[0] == .stop && answer.ends.first?.stopToken == end)
  }

  @Test func stopsBeforeAStopString() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(20), maxTokens: 30)
    let text = try await Answer.of(request, engine).text[0] ?? ""
    try #require(text.count > 8)
    let middle = String(text.dropFirst(text.count / 2).prefix(3))
    request.stopStrings = [middle]
    let stopped = try await Answer.of(request, engine)
    let range = try #require(text.range(of: middle))
    #expect(stopped.text[0] == String(text[..<range.lowerBound]))
    #expect(stopped.reasons[0] == .stop && stopped.ends.first?.stopString == middle)
  }

  @Test func givesSeveralAnswersToOnePrompt() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(45), maxTokens: 12)
    request.choices = 3
    request.sampling.temperature = 1
    request.seed = 5
    let answer = try await Answer.of(request, engine)
    #expect(answer.tokens.count == 3 && answer.tokens.values.allSatisfy { $0.count == 12 })
    #expect(Set(answer.tokens.values).count > 1)
    #expect(answer.usage?.completionTokens == 36)
    let again = try await Answer.of(request, engine)
    #expect(again.tokens == answer.tokens)
  }

  @Test func logprobsAreSortedAndContainTheGreedyToken() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(20), maxTokens: 5)
    request.topLogprobs = 4
    let answer = try await Answer.of(request, engine)
    #expect(answer.logprobs.count == 5)
    for logprob in answer.logprobs {
      #expect(logprob.top.count == 4 && logprob.top.first?.token == logprob.token)
      #expect(logprob.top.map(\.logprob) == logprob.top.map(\.logprob).sorted(by: >))
      #expect(logprob.logprob <= 0)
    }
  }

  @Test func promptLogprobsCoverEveryTokenButTheFirst() async throws {
    let engine = try EngineFixture.engine()
    let prompt = EngineFixture.prompt(150)
    var request = EngineFixture.request(prompt, maxTokens: 0)
    request.promptLogprobs = 1
    let answer = try await Answer.of(request, engine)
    let logprobs = try #require(answer.prompt?.promptLogprobs)
    #expect(logprobs.count == 150 && logprobs[0] == nil)
    #expect(logprobs.dropFirst().allSatisfy { ($0?.logprob ?? 1) <= 0 })
    #expect(logprobs.dropFirst().map { $0?.token } == prompt.dropFirst().map { $0 })
    #expect(answer.reasons[0] == .length && answer.usage?.completionTokens == 0)
    // The greedy token after the first 20 is the most probable one at that place.
    let greedy = try await Answer.of(EngineFixture.request(Array(prompt.prefix(20)), maxTokens: 1), engine)
    #expect(logprobs[20]?.top.first?.token == greedy.tokens[0]?.first)
  }

  @Test func aConstraintShapesTheText() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(20), maxTokens: 200)
    request.ignoreEndTokens = false
    request.constraint = .choice(["apple", "pear"])
    let answer = try await Answer.of(request, engine)
    #expect(["apple", "pear"].contains(answer.text[0] ?? ""))
    #expect(answer.reasons[0] == .stop)
  }

  @Test func embeddingsHaveUnitLengthAndDependOnTheText() async throws {
    let engine = try EngineFixture.engine()
    let a = try await engine.embed(EngineFixture.prompt(30), id: RequestID("a"))
    let b = try await engine.embed(EngineFixture.prompt(30, seed: 9), id: RequestID("b"))
    let again = try await engine.embed(EngineFixture.prompt(30), id: RequestID("c"))
    #expect(abs(a.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
    #expect(a == again && a != b && a.count == engine.information.embeddingWidth)
  }

  @Test func tenantsDoNotShareTheCache() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(100))
    request.cacheSalt = "one"
    _ = try await Answer.of(request, engine)
    request.cacheSalt = "two"
    #expect(try await Answer.of(request, engine).usage?.cachedTokens == 0)
    request.cacheSalt = "one"
    #expect(try await Answer.of(request, engine).usage?.cachedTokens == 99)
  }

  @Test func aSharedPrefixThatArrivesColdAndAtOnceIsComputedOnce() async throws {
    let engine = try EngineFixture.engine()
    let shared = EngineFixture.prompt(256)
    let cached = try await withThrowingTaskGroup(of: Int.self) { group in
      for index in 0..<8 {
        let prompt = shared + EngineFixture.prompt(16, seed: UInt64(index + 50))
        group.addTask { try await Answer.of(EngineFixture.request(prompt), engine).usage?.cachedTokens ?? 0 }
      }
      return try await group.reduce(0, +)
    }
    #expect(cached >= 7 * 256)
  }

  @Test func explainsWhyThePromptMissed() async throws {
    let engine = try EngineFixture.engine()
    var request = EngineFixture.request(EngineFixture.prompt(100))
    request.explainsCache = true
    let first = try await Answer.of(request, engine)
    #expect(first.prompt?.explanation?.matchedTokens == 0)
    var changed = EngineFixture.prompt(100)
    changed[70] = changed[70] == 300 ? 301 : 300
    request.prompt = changed
    let second = try await Answer.of(request, engine)
    #expect(second.prompt?.explanation?.matchedTokens == 70)
    #expect(second.prompt?.explanation?.firstDifferingToken?.index == 70)
  }
}
