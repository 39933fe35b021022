// Tokens per second in the same KV memory: as many sequences at once as fit it under the full cache, and under a policy.

public import WeirBasics
public import WeirEngine
public import WeirKVCache

/// One way to use the memory.
public struct ThroughputSide: Sendable {
  public var policy: String
  public var budget: String?
  /// Nil: the full cache.
  public var request: KVPolicyRequest?

  public init(policy: String, budget: String?, request: KVPolicyRequest?) {
    self.policy = policy
    self.budget = budget
    self.request = request
  }
}

/// What one run of a full batch gave.
public struct ThroughputSample: Sendable {
  /// From the first request to the last token, prefill included.
  public var outputTokensPerSecond: Double
  /// While all sequences decode: from the last first token to the first end; nil if there was no such time.
  public var decodeTokensPerSecond: Double?
  /// Slots of all lanes that a token's attention read, mean.
  public var decodeSlots: Double
  /// Bytes that all sequences together held at most: their own peaks added up, policy state included.
  public var heldBytes: Int
  public var preemptions: Int
}

/// Prompts of one length, answers of one length, in an engine whose KV memory is the cap.
public struct PolicyThroughput: Sendable {
  let input: Int
  let output: Int

  /// - Parameters:
  ///   - input: tokens of a prompt, at least 1.
  ///   - output: tokens of an answer, at least 2.
  public init(input: Int, output: Int) {
    self.input = input
    self.output = output
  }

  /// Sequences that fit the engine's KV memory at once, each with the block that it may grow into and the state of its
  /// policy; at least 1 and at most what the engine runs at once.
  ///
  /// - Throws: what `policies` says of the request.
  public func batch(
    of side: ThroughputSide, policies: any KVPolicyResolver, information: EngineInformation
  ) throws -> Int {
    guard let shape = information.kvShape else { return 1 }
    var (slots, stateBytes) = (input + output, 0)
    if let request = side.request {
      let facts = KVPolicyFacts(promptTokens: input, layers: shape.layers, kvHeads: shape.kvHeads)
      let policy = try policies.policy(for: request, facts: facts)
      if let lanes = LaneTable(
        policy: policy, layers: facts.layers, kvHeads: facts.kvHeads, promptTokens: facts.promptTokens)
      {
        slots = lanes.peakSlots(tokens: slots)
        // A position and each collected signal take four bytes a slot; arrays may have grown to twice their content.
        let numbers = 1 + 2 * policy.signals.filter { $0 != .keys }.count
        stateBytes = 4 * numbers * slots * shape.layers * shape.kvHeads
      }
    }
    let bytes = (shape.blockCount(tokens: slots) + 1) * shape.blockBytes + stateBytes
    let fitting = information.totalBlocks * shape.blockBytes / bytes
    return max(1, min(fitting, information.maxSequences))
  }

  /// Lanes times slots that a generated token reads, from lengths alone: what the counts are held against.
  public func foreseenSlots(
    of side: ThroughputSide, policies: any KVPolicyResolver, information: EngineInformation
  ) throws -> Double {
    guard let shape = information.kvShape else { return 0 }
    let lanes = Double(shape.layers * shape.kvHeads)
    // The last token of an answer is never computed.
    let full = Double(input) + Double(output) / 2
    guard let request = side.request else { return full * lanes }
    let facts = KVPolicyFacts(promptTokens: input, layers: shape.layers, kvHeads: shape.kvHeads)
    let policy = try policies.policy(for: request, facts: facts)
    guard let budget = policy.budget.budgetSlots(layer: 0, kvHead: 0), budget < input else { return full * lanes }
    // Between two questions a lane grows from its budget by one to its budget and the slack by one.
    return (Double(budget) + Double(policy.cadence.slackSlots) / 2 + 1) * lanes
  }

  /// Runs one full batch.
  ///
  /// - Parameters:
  ///   - side: the policy.
  ///   - batch: sequences, all submitted at once.
  ///   - engine: idle otherwise.
  ///   - clock: for the seconds.
  ///   - seed: for the prompts; other ones in every run.
  /// - Throws: `EngineError` from the engine.
  public func run(
    _ side: ThroughputSide, batch: Int, engine: any TextEngine, clock: any WeirClock, seed: UInt64
  ) async throws -> ThroughputSample {
    let requests = (0..<batch).map { index in
      var request = GenerationRequest.greedy(
        "throughput-\(index)", engine.information.randomPrompt(input, seed: seed << 32 | UInt64(index)),
        maxTokens: output, cache: false)
      request.kvPolicy = side.request
      return request
    }
    let start = clock.now()
    let answers = try await withThrowingTaskGroup(of: TimedAnswer.self) { group in
      for request in requests { group.addTask { try await TimedAnswer.of(request, engine, clock: clock) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    let end = clock.now()
    let from = answers.compactMap(\.times.first).max() ?? start
    let until = answers.compactMap(\.times.last).min() ?? start
    let between = answers.reduce(0) { $0 + $1.times.filter { $0 > from && $0 <= until }.count }
    let seconds = until.seconds(since: from)
    let kv = answers.compactMap(\.usage.kv.first)
    let decoded = kv.reduce(0) { $0 + $1.decodeTokens }
    return ThroughputSample(
      outputTokensPerSecond: Double(batch * output) / max(1e-9, end.seconds(since: start)),
      decodeTokensPerSecond: seconds > 0 && between > batch ? Double(between) / seconds : nil,
      decodeSlots: decoded == 0 ? 0 : Double(kv.reduce(0) { $0 + $1.decodeSlots }) / Double(decoded),
      heldBytes: kv.reduce(0) { $0 + $1.peakBytes },
      preemptions: answers.reduce(0) { $0 + $1.usage.preemptions })
  }
}
