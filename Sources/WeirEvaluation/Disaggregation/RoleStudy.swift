// Static roles, flexible roles and no roles at all, on real engines under the same requests.

public import WeirBasics
public import WeirCluster
public import WeirEngine

/// Requests of one kind.
public struct RequestMix: Sendable, Hashable {
  public var name: String
  /// Tokens of a prompt and of its answer, at least 1 each.
  public var promptTokens: Int
  public var answerTokens: Int

  public init(name: String, promptTokens: Int, answerTokens: Int) {
    self.name = name
    self.promptTokens = promptTokens
    self.answerTokens = answerTokens
  }
}

/// How two engines share requests.
public struct RoleSetup: Sendable {
  public var name: String
  /// One per engine.
  public var homes: [Role]
  public var plan: any RolePlan
  /// Nil: the study's.
  public var routing: (any Routing)?

  public init(name: String, homes: [Role], plan: any RolePlan, routing: (any Routing)? = nil) {
    self.name = name
    self.homes = homes
    self.plan = plan
    self.routing = routing
  }
}

/// What one setup made of some requests.
public struct RoleResult: Sendable {
  public var mix: String
  public var setup: String
  public var requests = 0
  public var seconds = 0.0
  public var firstTokenSeconds: [Double] = []
  /// All gaps between two tokens of an answer.
  public var gapSeconds: [Double] = []
  /// Requests that two engines shared, and those of them whose KV did not come.
  public var handedOver = 0
  public var recomputed: [String: Int] = [:]
  /// Changes of a node's role, with their reasons.
  public var flips = 0
  public var reasons: [String] = []
  /// Requests that failed, and answers that differ from the first setup's.
  public var dropped = 0
  public var wrong = 0

  init(mix: String, setup: String) {
    self.mix = mix
    self.setup = setup
  }

  public var requestsPerSecond: Double { Double(requests) / max(seconds, 1e-9) }
}

/// Runs requests with a fixed number in flight: the throughput is what the engines make of it.
public struct RoleStudy: Sendable {
  private let engines: [any TextEngine]
  private let routing: any Routing
  private let clock: any WeirClock
  /// Requests that are open at once, at least 1.
  public var inFlight = 8
  public var seed: UInt64 = 1

  /// - Parameters:
  ///   - engines: made with `HandoffOptions.local`, otherwise idle.
  ///   - routing: places every request, in setups that bring none.
  ///   - clock: real time.
  public init(engines: [any TextEngine], routing: any Routing, clock: any WeirClock) {
    self.engines = engines
    self.routing = routing
    self.clock = clock
  }

  /// Answers of requests, for comparison between setups.
  public typealias Answers = [Int: [TokenID]]

  /// Runs `count` requests, or more until roles have changed `leastFlips` times, never more than `mostRequests`.
  ///
  /// - Parameters:
  ///   - mixes: taken in turn, `phase` requests of each.
  ///   - answers: the right ones as far as they are known; the first setup that runs a request fills its answer in.
  /// - Throws: `EngineError` if an engine cannot take part.
  public func run(
    _ setup: RoleSetup, _ mixes: [RequestMix], phase: Int = 1, count: Int, leastFlips: Int = 0,
    mostRequests: Int = 100_000, answers: inout Answers
  ) async throws -> RoleResult {
    let cluster = try LocalCluster(
      engines, homes: setup.homes, routing: setup.routing ?? routing, plan: setup.plan, clock: clock, seed: seed)
    var result = RoleResult(mix: mixes.map(\.name).joined(separator: ", "), setup: setup.name)
    let start = clock.now()
    let ticker = Task {
      while !Task.isCancelled {
        await cluster.tick()
        try await Task.sleep(for: .seconds(await cluster.tickSeconds))
      }
    }
    defer { ticker.cancel() }
    await withTaskGroup(of: Finished.self) { group in
      var next = 0
      func add() {
        let (number, mix) = (next, mixes[next / phase % mixes.count])
        next += 1
        group.addTask { await answer(number, mix, cluster) }
      }
      for _ in 0..<min(inFlight, count) { add() }
      while let one = await group.next() {
        take(one, into: &result, &answers)
        let flips = await cluster.changes.count
        if next < count || (flips < leastFlips && next < mostRequests) { add() }
      }
    }
    result.seconds = clock.now().seconds(since: start)
    let changes = await cluster.changes
    result.flips = changes.count
    result.reasons = changes.map { "\($0.node) is \($0.role.rawValue): \($0.reason)" }
    return result
  }

  /// One request's end.
  private struct Finished: Sendable {
    var number: Int
    var answer: TimedAnswer?
    var start: Instant
    var wasShared = false
  }

  private func answer(_ number: Int, _ mix: RequestMix, _ cluster: LocalCluster) async -> Finished {
    let start = clock.now()
    let information = engines[0].information
    let prompt = information.randomPrompt(mix.promptTokens, seed: seed &* 1_000_003 &+ UInt64(number))
    let request = GenerationRequest.greedy("mix\(number)", prompt, maxTokens: mix.answerTokens, cache: false)
    do {
      let route = try await cluster.route(
        RouteRequest(
          request: request.id, model: ModelFingerprint(information.modelFingerprint ?? 0),
          promptTokens: mix.promptTokens, expectedOutputTokens: mix.answerTokens))
      guard route.prefill != route.decode else {
        let whole = try await TimedAnswer.of(request, engines[route.prefill], clock: clock)
        await cluster.ended(request.id, on: route.decode)
        return Finished(number: number, answer: whole, start: start)
      }
      let first = try await TimedAnswer.of(request.prefillHalf(), engines[route.prefill], clock: clock)
      await cluster.ended(request.id, on: route.prefill)
      var second = request
      second.arrival = first.usage.handoff
      let rest = try await TimedAnswer.of(second, engines[route.decode], clock: clock)
      await cluster.ended(request.id, on: route.decode)
      return Finished(number: number, answer: rest, start: start, wasShared: true)
    } catch {
      return Finished(number: number, answer: nil, start: start)
    }
  }

  private func take(_ one: Finished, into result: inout RoleResult, _ answers: inout Answers) {
    guard let answer = one.answer else {
      result.dropped += 1
      return
    }
    result.requests += 1
    if let first = answer.times.first { result.firstTokenSeconds.append(first.seconds(since: one.start)) }
    result.gapSeconds += answer.gaps
    if one.wasShared {
      result.handedOver += 1
      if answer.arrival?.tokens ?? 0 == 0 { result.recomputed[answer.arrival?.refusal ?? "no_ticket", default: 0] += 1 }
    }
    if let known = answers[one.number] {
      if known != answer.tokens { result.wrong += 1 }
    } else {
      answers[one.number] = answer.tokens
    }
  }
}
