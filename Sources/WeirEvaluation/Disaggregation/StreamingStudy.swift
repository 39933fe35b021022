// What is left to wait for when a prefill ends: KV that goes afterwards, and KV that went meanwhile.

public import WeirBasics
import WeirEngine
public import WeirKVCache
public import WeirKVTransfer

/// One way to hand over a prompt that is computed for it.
public struct StreamingMode: Sendable, Hashable {
  public var name: String
  public var style: TransferStyle
  /// Finished blocks go while the prompt is computed.
  public var streams: Bool

  public init(name: String, style: TransferStyle, streams: Bool) {
    self.name = name
    self.style = style
    self.streams = streams
  }

  /// FlowKV's whole transfer, the same streamed, and the layer-wise baseline of the paper (mode c) as far as engines
  /// go: layer pieces of whole blocks, 64 in flight, sent when a chunk is done and not when each of its layers is.
  public static let all = [
    StreamingMode(name: "f", style: TransferStyle(), streams: false),
    StreamingMode(name: "f, streamed", style: TransferStyle(), streams: true),
    StreamingMode(name: "c", style: TransferStyle(cut: .layers, windowCalls: 64), streams: true),
  ]
}

/// One mode's figures, one entry per prompt.
public struct StreamingResult: Sendable {
  public var mode: StreamingMode
  public var promptTokens = 0
  public var prefillSeconds: [Double] = []
  /// From the end of the prefill to the first token of the decoding engine.
  public var gapSeconds: [Double] = []
  public var operations: [Int] = []
  public var bytes = 0
  /// Prompts whose answer was that of one engine.
  public var right = 0
}

/// Computes prompts for the other engine, in every mode in turn.
public struct StreamingStudy: Sendable {
  private let pair: EnginePair
  private let style: TransferStyleSwitch
  private let clock: any WeirClock
  public var tokens = 4096
  public var repetitions = 3
  public var checkedTokens = 2
  public var modes = StreamingMode.all

  /// - Parameters:
  ///   - pair: engines made with `HandoffOptions.local`, otherwise idle.
  ///   - style: the switch that those options have.
  ///   - clock: real time.
  public init(pair: EnginePair, style: TransferStyleSwitch, clock: any WeirClock) {
    self.pair = pair
    self.style = style
    self.clock = clock
  }

  /// - Returns: one result per mode.
  /// - Throws: `EngineError` from an engine.
  public func run() async throws -> [StreamingResult] {
    var results = modes.map { StreamingResult(mode: $0, promptTokens: tokens) }
    for turn in 0..<repetitions {
      let prompt = pair.prefill.information.randomPrompt(tokens, seed: UInt64(5000 + turn))
      let request = GenerationRequest.greedy("stream", prompt, maxTokens: checkedTokens, cache: false)
      var answers: [[TokenID]] = []
      for place in results.indices { answers.append(try await measure(request, &results[place])) }
      let alone = try await TimedAnswer.of(request, pair.decode, clock: clock).tokens
      for place in results.indices where !alone.isEmpty && answers[place] == alone { results[place].right += 1 }
    }
    style.style = TransferStyle()
    return results
  }

  private func measure(_ request: GenerationRequest, _ result: inout StreamingResult) async throws -> [TokenID] {
    style.style = result.mode.style
    let before = await pair.prefill.status().handoffs
    let halves = try await halves(of: request, streams: result.mode.streams)
    var after = await pair.prefill.status().handoffs
    let end = clock.now().advanced(bySeconds: 5)
    while after.sent == before.sent, clock.now() < end {
      try await Task.sleep(for: .milliseconds(1))
      after = await pair.prefill.status().handoffs
    }
    let sent = after.transfer.since(before.transfer)
    result.operations.append(Int(sent.operations))
    result.bytes = Int(sent.bytes)
    result.prefillSeconds.append(halves.prefill.usage.prefillSeconds)
    if let done = halves.prefill.times.first, let first = halves.decode.times.first {
      result.gapSeconds.append(first.seconds(since: done))
    }
    return halves.decode.arrival?.tokens ?? 0 > 0 ? halves.decode.tokens : []
  }

  private func halves(
    of request: GenerationRequest, streams: Bool
  ) async throws -> (prefill: TimedAnswer, decode: TimedAnswer) {
    var first = request.prefillHalf()
    var second = request
    guard streams else {
      let prefill = try await TimedAnswer.of(first, pair.prefill, clock: clock)
      second.arrival = prefill.usage.handoff
      return (prefill, try await TimedAnswer.of(second, pair.decode, clock: clock))
    }
    let (tickets, told) = AsyncStream<HandoffTicket>.makeStream()
    first.onHandoff = {
      told.yield($0)
      told.finish()
    }
    let begun = first
    async let prefill = TimedAnswer.of(begun, pair.prefill, clock: clock)
    for await ticket in tickets { second.arrival = ticket }
    let decode = try await TimedAnswer.of(second, pair.decode, clock: clock)
    return (try await prefill, decode)
  }
}
