// The same prompt with the same seed gives the same text, whatever else the engine is doing.

import Testing
import Weir

@Suite struct InvarianceTests {
  private func sampled(_ prompt: [TokenID], name: String = "probe") -> GenerationRequest {
    var request = EngineFixture.request(prompt, maxTokens: 24, name: name)
    request.sampling.temperature = 1
    request.sampling.topP = 0.95
    request.seed = 42
    return request
  }

  private func alone(_ prompt: [TokenID]) async throws -> (greedy: [TokenID], sampled: [TokenID]) {
    let engine = try EngineFixture.engine()
    let greedy = try await Answer.of(EngineFixture.request(prompt, maxTokens: 24), engine)
    let random = try await Answer.of(sampled(prompt), engine)
    return (greedy.tokens[0] ?? [], random.tokens[0] ?? [])
  }

  @Test func inABatchOf32() async throws {
    let prompt = EngineFixture.prompt(70)
    let expected = try await alone(prompt)
    #expect(expected.greedy.count == 24)
    let engine = try EngineFixture.engine()
    try await withThrowingTaskGroup(of: (Int, [TokenID]).self) { group in
      for index in 0..<32 {
        group.addTask {
          let request: GenerationRequest
          switch index {
          case 5: request = EngineFixture.request(prompt, maxTokens: 24)
          case 9: request = sampled(prompt)
          default:
            request = EngineFixture.request(
              EngineFixture.prompt(10 + index * 3, seed: UInt64(index + 100)), maxTokens: 24)
          }
          return (index, try await Answer.of(request, engine).tokens[0] ?? [])
        }
      }
      for try await (index, tokens) in group {
        if index == 5 { #expect(tokens == expected.greedy) }
        if index == 9 { #expect(tokens == expected.sampled) }
      }
    }
  }

  @Test(arguments: [1, 16, 512]) func withAnyPrefillChunk(chunk: Int) async throws {
    let prompt = EngineFixture.prompt(150)
    let expected = try await alone(prompt)
    let engine = try EngineFixture.engine {
      $0.stepTokens = chunk
      $0.mixedPrefillTokens = chunk
      $0.runningLimit = 1
    }
    #expect(try await Answer.of(EngineFixture.request(prompt, maxTokens: 24), engine).tokens[0] == expected.greedy)
    #expect(try await Answer.of(sampled(prompt), engine).tokens[0] == expected.sampled)
  }

  @Test func withThePrefixCacheOnAndOff() async throws {
    let prompt = EngineFixture.prompt(150)
    let cold = try EngineFixture.engine { $0.prefixCache = false }
    let expected = try await Answer.of(sampled(prompt), cold)
    let warm = try EngineFixture.engine()
    let first = try await Answer.of(sampled(prompt), warm)
    let second = try await Answer.of(sampled(prompt), warm)
    #expect(first.tokens[0] == expected.tokens[0] && second.tokens[0] == expected.tokens[0])
    #expect(expected.usage?.cachedTokens == 0 && first.usage?.cachedTokens == 0)
    #expect(second.usage?.cachedTokens == 149)
  }

  @Test func whenThePrefixEndsInsideABlock() async throws {
    let shared = EngineFixture.prompt(100)
    let prompt = shared + EngineFixture.prompt(20, seed: 77)
    let expected = try await alone(prompt)
    let engine = try EngineFixture.engine()
    _ = try await Answer.of(EngineFixture.request(shared + EngineFixture.prompt(30, seed: 78)), engine)
    let answer = try await Answer.of(EngineFixture.request(prompt, maxTokens: 24), engine)
    #expect(answer.usage?.cachedTokens == 100)
    #expect(answer.tokens[0] == expected.greedy)
  }

  @Test func afterPreemption() async throws {
    let prompts = (0..<6).map { EngineFixture.prompt(90, seed: UInt64($0 + 1)) }
    var expected: [[TokenID]] = []
    let roomy = try EngineFixture.engine()
    for prompt in prompts {
      var request = sampled(prompt)
      request.maxTokens = 100
      expected.append(try await Answer.of(request, roomy).tokens[0] ?? [])
    }
    // Room for fewer than the six together: 20 blocks of 32 tokens, each sequence grows to 6.
    let tight = try EngineFixture.engine { configuration in
      configuration.kvBytes = 20 * roomy.memoryPlan.blockBytes
      configuration.contextLength = 256
    }
    let results = try await withThrowingTaskGroup(of: (Int, [TokenID], Int).self) { group in
      for (index, prompt) in prompts.enumerated() {
        group.addTask {
          var request = sampled(prompt, name: "p\(index)")
          request.maxTokens = 100
          let answer = try await Answer.of(request, tight)
          return (index, answer.tokens[0] ?? [], answer.usage?.preemptions ?? 0)
        }
      }
      var all: [(Int, [TokenID], Int)] = []
      for try await result in group { all.append(result) }
      return all
    }
    for (index, tokens, _) in results { #expect(tokens == expected[index], "prompt \(index)") }
    #expect(results.reduce(0) { $0 + $1.2 } > 0, "nothing was preempted, so this test shows nothing")
  }

  @Test func withOneThreadOrTwo() async throws {
    let prompt = EngineFixture.prompt(60)
    let one = try await Answer.of(sampled(prompt), EngineFixture.engine(threads: 1))
    let two = try await Answer.of(sampled(prompt), EngineFixture.engine(threads: 2))
    #expect(one.tokens[0] == two.tokens[0])
  }
}
