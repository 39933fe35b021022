// The engine at one moment: everything that /metrics, /load and the web page show.

public import WeirBasics
public import WeirCluster

/// A consistent copy of the engine's numbers.
public struct EngineStatus: Sendable {
  public var load = NodeLoad()
  public var pool = PoolReport()
  public var counters = EngineCounters()
  public var distributions = EngineDistributions()
  public var handoffs = HandoffReport()
  /// The latest requests and handoffs.
  public var recent = RecentWork()
  /// How fast this node computes, as measured.
  public var speeds = MeasuredSpeeds()
  /// Shares of the last seconds spent in steps that prefill, and in steps that only decode, `0...1`.
  public var prefillShare = 0.0
  public var decodeShare = 0.0
  /// Waiting sequences that ran before and gave their blocks back.
  public var preemptedSequences = 0
  /// Blocks that waiting requests and requests whose KV is on its way will take.
  public var promisedBlocks = 0
  /// Admission is stopped by `pause()`.
  public var isPaused = false
  /// `drain` has begun.
  public var isDraining = false
  public var now = Instant(nanoseconds: 0)

  public init() {}
}

/// The block pool. Counts of events grow from the engine's start.
public struct PoolReport: Sendable, Equatable {
  /// Token slots in one block, and its bytes over all layers.
  public var blockSlots = 0
  public var blockBytes = 0
  /// Blocks backed by memory now, and their bytes.
  public var committedBytes = 0
  /// Most blocks ever held by running sequences at once.
  public var peakUsedBlocks = 0
  /// Length in blocks of the longest run of free neighbours.
  public var largestFreeRun = 0
  /// 0 (all free blocks are one run) to 1.
  public var fragmentation = 0.0
  public var evictedBlocks: UInt64 = 0
  /// Blocks copied because a shared one was about to be written.
  public var copiedBlocks: UInt64 = 0
  public var pinnedBlocks = 0

  public init() {}
}

/// Counts since the engine started.
public struct EngineCounters: Sendable, Equatable {
  /// Ended choices by reason.
  public var finished: [FinishReason: UInt64] = [:]
  /// Requests that ended with an error, by code.
  public var failed: [String: UInt64] = [:]
  public var promptTokens: UInt64 = 0
  /// Prompt tokens that were found in the prefix tree.
  public var cachedTokens: UInt64 = 0
  public var generatedTokens: UInt64 = 0
  public var preemptions: UInt64 = 0
  /// Tokens looked up in the prefix tree, and those found.
  public var prefixQueries: UInt64 = 0
  public var prefixHits: UInt64 = 0
  /// Questions to KV policies, slots they dropped over all lanes, and the seconds that their signals, asking and
  /// compacting took.
  public var policyQuestions: UInt64 = 0
  public var policyDroppedSlots: UInt64 = 0
  public var policySeconds = 0.0

  public init() {}
}

/// Distributions since the engine started.
public struct EngineDistributions: Sendable, Equatable {
  public var timeToFirstTokenSeconds = Histogram(bounds: Histogram.requestSeconds).snapshot
  public var interTokenSeconds = Histogram(bounds: Histogram.tokenSeconds).snapshot
  /// Mean time per output token after the first, one observation per request.
  public var timePerOutputTokenSeconds = Histogram(bounds: Histogram.tokenSeconds).snapshot
  public var requestSeconds = Histogram(bounds: Histogram.requestSeconds).snapshot
  public var queueSeconds = Histogram(bounds: Histogram.requestSeconds).snapshot
  public var prefillSeconds = Histogram(bounds: Histogram.requestSeconds).snapshot
  public var decodeSeconds = Histogram(bounds: Histogram.requestSeconds).snapshot
  public var promptTokens = Histogram(bounds: Histogram.tokenCounts).snapshot
  public var generatedTokens = Histogram(bounds: Histogram.tokenCounts).snapshot
  public var stepTokens = Histogram(bounds: Histogram.stepTokens).snapshot

  public init() {}
}
