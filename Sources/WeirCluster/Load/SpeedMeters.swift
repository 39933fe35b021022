// Speeds measured while working.

public import WeirBasics

/// Measures a speed while working: amounts over the time they took, old work forgotten over a window of busy time.
/// Idle time does not count, so a node that had nothing to do does not look slow.
public struct RateMeter: Sendable, Equatable {
  public let windowSeconds: Double
  /// Least busy time before the meter gives a rate: one short step says little.
  public let leastSeconds: Double
  private var amount = 0.0
  private var busySeconds = 0.0
  private var updated: Instant?

  /// - Precondition: `windowSeconds` is above 0.
  public init(windowSeconds: Double = 10, leastSeconds: Double = 0.05) {
    precondition(windowSeconds > 0, "a window must be above 0")
    self.windowSeconds = windowSeconds
    self.leastSeconds = leastSeconds
  }

  /// Adds work of `amount` that took `seconds` and ended at `now`. Work of no time or no amount is ignored.
  public mutating func add(amount added: Double, seconds: Double, now: Instant) {
    guard added > 0, seconds > 0, added.isFinite, seconds.isFinite else { return }
    let kept = windowSeconds / (windowSeconds + seconds)
    amount = amount * kept + added
    busySeconds = busySeconds * kept + seconds
    updated = now
  }

  /// The rate as of `now`; nil before there was enough work.
  public func rate(now: Instant) -> MeasuredRate? {
    guard let updated, busySeconds >= leastSeconds else { return nil }
    return MeasuredRate(perSecond: amount / busySeconds, ageSeconds: max(0, now.seconds(since: updated)))
  }
}

/// Measures both speeds of a node from its steps, whatever they mix.
///
/// A step of one kind measures that kind. A mixed step measures prefill by what is left when the decode rows' known
/// share of time is taken away; it measures decode the same way only while no purer measurement is younger than
/// `windowSeconds`, because the share of a few rows in a long step is mostly error.
public struct StepMeter: Sendable, Equatable {
  private var prefill: RateMeter
  private var decode: RateMeter
  private var decodeBatch: Double?

  /// - Precondition: `windowSeconds` is above 0.
  public init(windowSeconds: Double = 10, leastSeconds: Double = 0.05) {
    prefill = RateMeter(windowSeconds: windowSeconds, leastSeconds: leastSeconds)
    decode = RateMeter(windowSeconds: windowSeconds, leastSeconds: leastSeconds)
  }

  /// Adds a step of `prefillTokens` prompt tokens and `decodeRows` generated ones that took `seconds` and ended at
  /// `now`.
  public mutating func add(prefillTokens: Int, decodeRows: Int, seconds: Double, now: Instant) {
    guard seconds > 0, seconds.isFinite else { return }
    let (tokens, rows) = (Double(prefillTokens), Double(decodeRows))
    // No part of a mixed step is taken to be shorter than this: the known shares are estimates.
    let least = seconds / 10
    if prefillTokens == 0 {
      addDecode(rows, seconds, now)
    } else if decodeRows == 0 {
      prefill.add(amount: tokens, seconds: seconds, now: now)
    } else {
      let known = decode.rate(now: now)
      let decodeSeconds = known.map { max(rows, decodeBatch ?? 1) / $0.perSecond } ?? 0
      if (known?.ageSeconds ?? .infinity) > decode.windowSeconds, let rate = prefill.rate(now: now) {
        addDecode(rows, max(least, seconds - tokens / rate.perSecond), now)
      }
      prefill.add(amount: tokens, seconds: max(least, seconds - decodeSeconds), now: now)
    }
  }

  private mutating func addDecode(_ rows: Double, _ seconds: Double, _ now: Instant) {
    decode.add(amount: rows, seconds: seconds, now: now)
    let share = seconds / (decode.windowSeconds + seconds)
    decodeBatch = decodeBatch.map { $0 + (rows - $0) * share } ?? rows
  }

  /// The speeds as of `now`, with the links that somebody else measured.
  public func speeds(now: Instant, links: [LinkSpeed] = []) -> MeasuredSpeeds {
    MeasuredSpeeds(
      prefillTokens: prefill.rate(now: now), decodeTokens: decode.rate(now: now), decodeBatch: decodeBatch ?? 1,
      links: links)
  }
}
