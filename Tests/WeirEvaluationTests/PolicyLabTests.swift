// The lab's measurements on the tiny engine: text, attention mass, throughput in equal memory.

import Testing
import Weir
import WeirEngine
import WeirEvaluation
import WeirKVCache
import WeirPolicies

@Suite struct PolicyLabTests {
  private func engine(_ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Engine {
    try EngineEvaluationTests.engine {
      $0.policies = KVPolicyCatalogue()
      change(&$0)
    }
  }

  private func text(words: Int) -> String {
    var generator = SeededGenerator(seed: 5)
    return (0..<words).map { _ in ["sun", "moon", "stone", "river", "seven", "blue"][Int(generator.next() % 6)] }
      .joined(separator: " ")
  }

  private func request(_ name: String, _ slots: Int) -> KVPolicyRequest {
    KVPolicyRequest(name: name, budget: .slots(slots))
  }

  /// Log-probabilities of a prompt's tokens but the first.
  private func promptLogprobs(
    _ prompt: [TokenID], _ policy: KVPolicyRequest, context: Int?, _ engine: Engine
  ) async throws -> [Float] {
    var request = GenerationRequest(id: RequestID("scored"), prompt: prompt)
    request.maxTokens = 0
    request.promptLogprobs = 0
    request.kvPolicy = policy
    request.policyPromptTokens = context
    for try await event in engine.generate(request) {
      if case .admitted(let report) = event { return (report.promptLogprobs ?? []).compactMap { $0?.logprob } }
    }
    return []
  }

  @Test(arguments: TextCadence.allCases) func `a text is scored under every policy`(cadence: TextCadence) async throws {
    let engine = try engine()
    let windows = try PolicyText(text(words: 150), information: engine.information, window: 128, tokenLimit: 192)
    let full = try await windows.score(engine: engine, policy: nil, cadence: cadence, inFlight: 3)
    #expect(full.all.tokens >= 126 && full.all.value > 1)
    for key in KVPolicyKey.allCases where key != .full && key != .sentencekv {
      let name = "\(key.rawValue):slack=3,chunk=\(cadence == .steps ? "end" : "32")"
      let ample = try await windows.score(
        engine: engine, policy: request(name, 1000), cadence: cadence, inFlight: 3)
      #expect(ample.all == full.all, "\(name)")
      let small = try await windows.score(engine: engine, policy: request(name, 24), cadence: cadence, inFlight: 2)
      #expect(small.all.nats != full.all.nats && small.all.tokens == full.all.tokens)
      #expect(small.slots <= 24 + 3, "\(name): \(small.slots) slots")
    }
  }

  @Test func `documents are a window each, and their answers are told apart`() async throws {
    let engine = try engine()
    let lines = (0..<3).map { place in
      #"{"id": "d\#(place)", "parts": [{"text": "\#(text(words: 40 + place))"}, {"text": " river", "answer": true}, "#
        + #"{"text": "\#(text(words: 80))"}, {"text": " moon", "answer": true}, {"text": "\#(text(words: 60))"}]}"#
    }
    let documents = try TextDocument.parse(utf8: Array(lines.joined(separator: "\n\n").utf8), name: "d.jsonl")
    #expect(documents.count == 3 && documents[1].parts.map(\.isAnswer) == [false, true, false, true, false])
    let tokenizer = engine.information.tokenizer
    let tokens = documents[0].parts.map { tokenizer.encode($0.text, addSpecial: false).count }
    // The first answer lies in the half that is not scored, the second in the other.
    let window = (tokens[0] + tokens[1] + tokens[2]) / 2 * 2 + 16
    let windows = try PolicyText(documents: documents, information: engine.information, window: window)
    let full = try await windows.score(engine: engine, policy: nil, cadence: .chunks, inFlight: 2)
    #expect(full.all.tokens == 3 * windows.window / 2 && full.answers.tokens == 3 * tokens[3])
    #expect(full.answers.nats > 0 && full.answers.nats < full.all.nats)
    // Each by itself: no window reaches into another document.
    var nats = 0.0
    for document in documents {
      let one = try PolicyText(documents: [document], information: engine.information, window: window)
      nats += try await one.score(engine: engine, policy: nil, cadence: .chunks, inFlight: 1).all.nats
    }
    #expect(abs(nats - full.all.nats) < 1e-9 * nats)
    let error = #expect(throws: EvaluationError.self) {
      try PolicyText(documents: documents, information: engine.information, window: 1000)
    }
    #expect(error?.message.contains("d0") == true)
    let report = PolicyTextReport(
      results: [PolicyTextResult(policy: "full", perplexity: full.all, answers: full.answers, slots: full.slots)],
      window: window)
    #expect(report.table.contains("\(3 * tokens[3]) of them in answers"), "\(report.table)")
  }

  @Test(arguments: [
    (#"{"parts": [{"text": "a"}]}"#, "id"), (#"{"id": "a"}"#, "parts"), (#"{"id": "a", "parts": [{}]}"#, "parts[0]"),
    (#"{"id": "a", "parts": [{"text": "b", "answer": 1}]}"#, "parts[0]"), ("[]", "object"), ("{", "JSON"),
    ("\n", "no document"),
    ("{\"id\": \"a\", \"parts\": [{\"text\": \"b\"}]}\n{\"id\": \"a\", \"parts\": [{\"text\": \"b\"}]}", "line 2"),
  ]) func `a document that is none is named`(line: String, hint: String) throws {
    let error = #expect(throws: TaskFileError.self) { try TextDocument.parse(utf8: Array(line.utf8), name: "d.jsonl") }
    #expect(error?.message.contains(hint) == true, "\(error?.message ?? "")")
  }

  @Test(arguments: ["h2o", "snapkv", "tova", "keydiff"]) func `a text read in steps is a text being generated`(
    policy: String
  ) async throws {
    let engine = try engine()
    let kept = request("\(policy):slack=0,chunk=end", 24)
    let prompt = (0..<80).map { TokenID(300 + $0 * 7 % 150) }
    var generation = GenerationRequest(id: RequestID("made"), prompt: prompt)
    generation.maxTokens = 24
    generation.sampling.temperature = 0
    generation.ignoreEndTokens = true
    generation.topLogprobs = 0
    generation.kvPolicy = kept
    var (tokens, logprobs): ([TokenID], [Float]) = ([], [])
    for try await event in engine.generate(generation) {
      guard case .token(let token) = event else { continue }
      tokens.append(token.token)
      if let logprob = token.logprob { logprobs.append(logprob.logprob) }
    }
    let scored = try await promptLogprobs(prompt + tokens, kept, context: prompt.count, engine)
    #expect(logprobs.count == 24 && Array(scored.suffix(24)) == logprobs)
  }

  @Test(arguments: [nil, 60] as [Int?]) func `what comes later decides nothing`(context: Int?) async throws {
    let engine = try engine()
    let prompt = (0..<120).map { TokenID(300 + $0 * 11 % 140) }
    for name in ["h2o", "snapkv", "tova", "keydiff"] {
      let kept = request("\(name):slack=0,chunk=16", 24)
      let whole = try await promptLogprobs(prompt, kept, context: context, engine)
      // Tokens up to 100 are the same, and row 99 is the last before them.
      let other = try await promptLogprobs(
        Array(prompt[..<100]) + prompt[100...].map { TokenID($0.index + 1) }, kept, context: context, engine)
      #expect(whole.count == 119 && whole[..<99] == other[..<99], "\(name)")
    }
  }

  @Test func `attention mass on kept slots is measured without dropping any`() async throws {
    let log = MassLog()
    let items = EngineEvaluationTests.questions(6)
    let full = try engine()
    let looking = try engine { $0.policies = OnlookingPolicies(base: KVPolicyCatalogue(), log: log) }
    func study(_ engine: Engine) -> PolicyStudy {
      PolicyStudy(engine: engine, clock: SystemClock(), maxTokens: 8, inFlight: 3)
    }
    let expected = try await study(full).result(
      at: PolicyPoint(policy: "full", budget: nil, timing: .known) { _ in nil }, items)
    #expect(log.take() == nil)
    var shares: [String: Double] = [:]
    for name in ["sink-recent", "h2o", "tova", "snapkv", "keydiff", "random", "h2o:recent_share=1"] {
      for slots in [16, 1000] {
        let kept = request(name, slots).adding("chunk", "end")
        let result = try await study(looking).result(
          at: PolicyPoint(policy: name, budget: "\(slots)", timing: .known) { _ in kept }, items)
        #expect(result.outcomes.map { $0.answer?.text } == expected.outcomes.map { $0.answer?.text }, "\(name)")
        #expect(result.outcomes.allSatisfy { $0.answer?.kv?.droppedSlots == 0 })
        let share = try #require(log.take())
        if slots == 1000 { #expect(share == 1, "\(name)") } else { shares[name] = share }
      }
    }
    #expect(shares.values.allSatisfy { $0 > 0 && $0 < 1 }, "\(shares)")
    // What had the most attention of the prompt's rows gets more than chance of the later ones too.
    #expect((shares["h2o"] ?? 0) > (shares["random"] ?? 1), "\(shares)")
  }

  @Test func `a policy fits more sequences into the same memory`() async throws {
    let probe = try engine()
    let blockBytes = try #require(probe.information.kvShape).blockBytes
    let bench = PolicyThroughput(input: 96, output: 64)
    let sides = [
      ThroughputSide(policy: "full", budget: nil, request: nil),
      ThroughputSide(policy: "h2o", budget: "16", request: request("h2o:chunk=16,slack=3", 16)),
    ]
    var results: [ThroughputResult] = []
    for side in sides {
      let engine = try engine {
        $0.kvBytes = 24 * blockBytes
        $0.contextLength = 256
      }
      let information = engine.information
      var result = ThroughputResult(
        side: side, batch: try bench.batch(of: side, policies: KVPolicyCatalogue(), information: information),
        foreseenSlots: try bench.foreseenSlots(of: side, policies: KVPolicyCatalogue(), information: information))
      let sample = try await bench.run(side, batch: result.batch, engine: engine, clock: SystemClock(), seed: 3)
      result.samples = [sample]
      result.peakPoolBytes = await engine.status().pool.peakUsedBlocks * blockBytes
      #expect(sample.preemptions == 0 && result.peakPoolBytes <= 24 * blockBytes, "\(side.policy)")
      #expect(sample.heldBytes <= 24 * blockBytes, "\(side.policy): policy state is in it")
      let ratio = sample.decodeSlots / result.foreseenSlots
      #expect(abs(ratio - 1) < 0.05, "counted over foreseen: \(ratio)")
      results.append(result)
    }
    #expect(results[0].batch == 4 && results[1].batch >= 8, "\(results.map(\.batch))")
    let report = ThroughputReport(results: results, capBytes: 24 * blockBytes, slotBytes: 64)
    #expect(report.table.split(separator: "\n").count == 4 && report.figures["sides"]?.array?.count == 2)
  }

  @Test func `the report of texts compares with the full cache`() {
    func result(_ policy: String, _ nats: Double, _ cadence: TextCadence?) -> PolicyTextResult {
      PolicyTextResult(
        policy: policy, budget: cadence == nil ? nil : "20%", cadence: cadence,
        perplexity: Perplexity(tokens: 100, bytes: 400, nats: nats), slots: cadence == nil ? 128 : 26)
    }
    let report = PolicyTextReport(
      results: [result("full", 200, nil), result("h2o", 210, .steps), result("random", 250, .chunks)], window: 128)
    #expect(report.table.contains("1.1052") && report.table.contains("26"), "\(report.table)")
    #expect(report.figures["points"]?.array?.count == 3)
    #expect(report.charts.count == 2)
  }
}
