// The ways to hand a real prompt's KV from engine to engine, side by side (FlowKV's digest, section 5).

public import WeirBasics
import WeirEngine
public import WeirKVCache
public import WeirKVTransfer

extension TransferBenchMode {
  /// How engines move KV in this mode; nil: not between engines.
  public var style: TransferStyle? {
    switch self {
    case .layerAwaited: TransferStyle(cut: .layers, windowCalls: 1)
    case .layerWindow: TransferStyle(cut: .layers, windowCalls: 64)
    case .staged: TransferStyle(cut: .staged)
    case .blocks: TransferStyle(cut: .blocks, windowCalls: 64)
    case .coRuns: TransferStyle(cut: .coRuns)
    case .raw: nil
    }
  }
}

/// One mode's figures: one entry per counted handoff, in the order of measuring.
public struct TransferStudyResult: Sendable {
  public var mode: TransferBenchMode
  /// Bytes of one (block, layer, side) piece.
  public var pieceBytes: Int
  public var bytes = 0
  /// Calls of each request.
  public var operations: [Int] = []
  /// From the first call until everything is visible at the receiver, with the copies of mode d on both sides.
  public var seconds: [Double] = []
  /// From the request's arrival at the receiver until it owns the checked KV: protocol and checksums too.
  public var handoffSeconds: [Double] = []
  /// Digesting the blocks, which is in no `seconds`: at the sender (ahead, while nobody waits for it) ...
  public var senderDigestSeconds: [Double] = []
  /// ... and at the receiver, between the last call and its answer.
  public var receiverDigestSeconds: [Double] = []
  /// Handoffs after which the receiver's tokens were those of one engine alone.
  public var verified = 0
  /// Handoffs that ended otherwise, by reason.
  public var refusals: [String: Int] = [:]

  init(mode: TransferBenchMode, pieceBytes: Int) {
    self.mode = mode
    self.pieceBytes = pieceBytes
  }

  /// Bytes per second at the median time.
  public var bandwidth: Double { Double(bytes) / max(Spread(seconds).median, 1e-9) }
}

/// Computes a prompt once, then hands its KV over again and again.
///
/// The sender's prefix tree gives it the prompt back each time, so the blocks are those that the prefill filled; the
/// prompt is one token longer than whole blocks, so that all of them are. The receiver's tree is emptied between two
/// handoffs. Modes take turns, so that a busy machine disturbs all of them alike; the first turn is not counted.
public struct TransferStudy: Sendable {
  private let pair: EnginePair
  private let style: TransferStyleSwitch
  private let clock: any WeirClock
  /// Prompt tokens, rounded up to whole blocks and one more.
  public var tokens = 4096
  public var repetitions = 5
  /// Tokens of each answer that are compared.
  public var checkedTokens = 2
  public var modes = TransferBenchMode.allCases
  public var seed: UInt64 = 1

  /// - Parameters:
  ///   - pair: engines made with `HandoffOptions.local`, otherwise idle, with prefix caches.
  ///   - style: the switch that those options have.
  ///   - clock: real time.
  public init(pair: EnginePair, style: TransferStyleSwitch, clock: any WeirClock) {
    self.pair = pair
    self.style = style
    self.clock = clock
  }

  /// - Parameter raw: makes the call of mode `raw` for so many bytes; its seconds.
  /// - Returns: one result per mode.
  /// - Throws: `EngineError` from an engine, or what `raw` throws.
  public func run(raw: (Int) throws -> OperationReport) async throws -> [TransferStudyResult] {
    let information = pair.prefill.information
    let slots = information.blockSlots
    let prompt = information.randomPrompt((tokens + slots - 1) / slots * slots + 1, seed: seed)
    let request = GenerationRequest.greedy("transfer", prompt, maxTokens: checkedTokens, cache: true)
    let expected = try await TimedAnswer.of(request, pair.prefill, clock: clock).tokens
    let pieceBytes = information.kvShape?.keyPartBytes ?? 0
    var results = modes.map { TransferStudyResult(mode: $0, pieceBytes: pieceBytes) }
    let bytes = (prompt.count - 1) / slots * information.blockBytes
    for turn in 0...repetitions {
      for place in results.indices {
        var result = turn == 0 ? TransferStudyResult(mode: results[place].mode, pieceBytes: 0) : results[place]
        if let style = result.mode.style {
          self.style.style = style
          try await handOver(request, expected: expected, into: &result)
        } else {
          let report = try raw(bytes)
          result.add(operations: report.operations, bytes: report.bytes, seconds: report.seconds)
          result.verified += 1
        }
        if turn > 0 { results[place] = result }
      }
    }
    style.style = TransferStyle()
    return results
  }

  private func handOver(
    _ request: GenerationRequest, expected: [TokenID], into result: inout TransferStudyResult
  ) async throws {
    let before = (await pair.prefill.status().handoffs, await pair.decode.status().handoffs)
    let first = try await TimedAnswer.of(request.prefillHalf(), pair.prefill, clock: clock)
    await pair.decode.clearPrefixCache()
    var second = request
    second.arrival = first.usage.handoff
    second.storesCache = false
    let answer = try await TimedAnswer.of(second, pair.decode, clock: clock)
    guard let arrival = answer.arrival, arrival.tokens > 0 else {
      result.refusals[answer.arrival?.refusal ?? "no_ticket", default: 0] += 1
      return
    }
    // The sender hears last that its KV was taken.
    var after = await pair.prefill.status().handoffs
    let end = clock.now().advanced(bySeconds: 5)
    while after.sent == before.0.sent, clock.now() < end {
      try await Task.sleep(for: .milliseconds(1))
      after = await pair.prefill.status().handoffs
    }
    let sent = after.transfer.since(before.0.transfer)
    let copied = await pair.decode.status().handoffs.transfer.since(before.1.transfer)
    result.add(
      operations: Int(sent.operations), bytes: Int(sent.bytes),
      seconds: sent.seconds + sent.copySeconds + copied.copySeconds)
    result.handoffSeconds.append(arrival.seconds)
    result.senderDigestSeconds.append(sent.digestSeconds)
    result.receiverDigestSeconds.append(copied.digestSeconds)
    if answer.tokens == expected { result.verified += 1 } else { result.refusals["other_tokens", default: 0] += 1 }
  }
}

extension TransferStudyResult {
  fileprivate mutating func add(operations: Int, bytes: Int, seconds: Double) {
    self.operations.append(operations)
    self.bytes = bytes
    self.seconds.append(seconds)
  }
}

/// Order statistics by nearest rank.
public struct Spread: Sendable {
  private let sorted: [Double]

  public init(_ values: [Double]) { sorted = values.sorted() }

  /// The value at or below which `share` of the values lie; 0 without values.
  public func quantile(_ share: Double) -> Double {
    sorted.isEmpty ? 0 : sorted[max(0, min(sorted.count - 1, Int((Double(sorted.count) * share).rounded(.up)) - 1))]
  }

  public var median: Double { quantile(0.5) }
  public var best: Double { sorted.first ?? 0 }
  public var mean: Double { sorted.isEmpty ? 0 : sorted.reduce(0, +) / Double(sorted.count) }
}
