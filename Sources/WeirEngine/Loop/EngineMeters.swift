// What the step loop counts, for /metrics and the web page.

import WeirBasics
import WeirCluster
import WeirKVCache

/// Counters and histograms of one engine; owned by the step loop, published as an ``EngineStatus``.
struct EngineMeters {
  private var counters = EngineCounters()
  private var steps: UInt64 = 0
  var timeToFirstToken = Histogram(bounds: Histogram.requestSeconds)
  var interToken = Histogram(bounds: Histogram.tokenSeconds)
  var prefillSeconds = Histogram(bounds: Histogram.requestSeconds)
  private var timePerOutputToken = Histogram(bounds: Histogram.tokenSeconds)
  private var requestSeconds = Histogram(bounds: Histogram.requestSeconds)
  private var queueSeconds = Histogram(bounds: Histogram.requestSeconds)
  private var decodeSeconds = Histogram(bounds: Histogram.requestSeconds)
  private var promptTokens = Histogram(bounds: Histogram.tokenCounts)
  private var generatedTokens = Histogram(bounds: Histogram.tokenCounts)
  private var stepTokens = Histogram(bounds: Histogram.stepTokens)

  private var stepMeter = StepMeter()
  private var usageMeter = UsageMeter()

  /// Counts a step of `rows` rows, `decodeRows` of which came from sequences that decode.
  mutating func countStep(rows: Int, decodeRows: Int, seconds: Double, now: Instant) {
    steps += 1
    stepTokens.observe(Double(rows))
    stepMeter.add(prefillTokens: rows - decodeRows, decodeRows: decodeRows, seconds: seconds, now: now)
    usageMeter.add(prefills: rows > decodeRows, seconds: seconds, now: now)
  }

  func speeds(now: Instant, links: [LinkSpeed]) -> MeasuredSpeeds { stepMeter.speeds(now: now, links: links) }
  func shares(now: Instant) -> (prefill: Double, decode: Double) { usageMeter.shares(now: now) }

  mutating func countAdmission(promptTokens count: Int, cachedTokens: Int, queueSeconds seconds: Double) {
    counters.promptTokens += UInt64(count)
    counters.cachedTokens += UInt64(cachedTokens)
    counters.prefixQueries += UInt64(count)
    counters.prefixHits += UInt64(cachedTokens)
    promptTokens.observe(Double(count))
    queueSeconds.observe(seconds)
  }

  mutating func countGenerated() { counters.generatedTokens += 1 }
  mutating func countPreemptions(_ count: Int) { counters.preemptions += UInt64(count) }
  mutating func countPolicies(questions: Int, seconds: Double) {
    counters.policyQuestions += UInt64(questions)
    counters.policySeconds += seconds
  }

  mutating func countDroppedSlots(_ count: Int) { counters.policyDroppedSlots += UInt64(count) }
  mutating func countFinish(_ reason: FinishReason) { counters.finished[reason, default: 0] += 1 }
  mutating func countFailure(_ code: String) { counters.failed[code, default: 0] += 1 }

  mutating func countCompletion(
    promptTokens: Int, generatedTokens count: Int, choices: Int, totalSeconds: Double, decodeSeconds seconds: Double
  ) {
    generatedTokens.observe(Double(count))
    requestSeconds.observe(totalSeconds)
    decodeSeconds.observe(seconds)
    let perChoice = Double(count) / Double(max(choices, 1))
    if perChoice > 1 { timePerOutputToken.observe(seconds / (perChoice - 1)) }
  }

  /// Everything counted, without the parts that only the scheduler and the pool know.
  var status: EngineStatus {
    var status = EngineStatus()
    status.load.stepsCompleted = steps
    status.counters = counters
    status.distributions.timeToFirstTokenSeconds = timeToFirstToken.snapshot
    status.distributions.interTokenSeconds = interToken.snapshot
    status.distributions.timePerOutputTokenSeconds = timePerOutputToken.snapshot
    status.distributions.requestSeconds = requestSeconds.snapshot
    status.distributions.queueSeconds = queueSeconds.snapshot
    status.distributions.prefillSeconds = prefillSeconds.snapshot
    status.distributions.decodeSeconds = decodeSeconds.snapshot
    status.distributions.promptTokens = promptTokens.snapshot
    status.distributions.generatedTokens = generatedTokens.snapshot
    status.distributions.stepTokens = stepTokens.snapshot
    return status
  }
}
