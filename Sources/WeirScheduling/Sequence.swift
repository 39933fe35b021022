// One growing token list with its block table and its progress.

public import WeirBasics
public import WeirKVCache

/// A sequence under the scheduler. Owned by the step-loop thread, like everything in this room.
///
/// Three counters tell where it stands, always `0 <= computed <= tokens.count`:
/// ```
/// | 0 ........ cachedTokens ........ computed ........ tokens.count |
/// | K/V found in the prefix tree   | K/V written     | still to do  |
/// ```
/// There is no prefill or decode phase: a sequence that lacks one token decodes, one that lacks more prefills.
public final class Sequence {
  public enum State: Sendable, Equatable { case waiting, running, ended }

  public let id: SequenceID
  public let request: RequestID
  /// Prompt and generated tokens.
  public private(set) var tokens: [TokenID]
  /// Tokens of the prompt (the client's, not those generated before a preemption).
  public let promptCount: Int
  /// Lower runs first.
  public let priority: Int
  /// Order of arrival at this node.
  public let arrival: UInt64
  public let salt: String
  public internal(set) var readsCache: Bool
  /// Never with a KV policy: what it keeps is not the exact KV of a prefix.
  public let storesCache: Bool
  /// Rows of this sequence in one step at most; prompt log-probabilities need small steps.
  public let stepRowsLimit: Int
  /// All slots of the prompt are reserved with the first chunk.
  let reservesPrompt: Bool
  /// Whether it counts among the running ones that ``SchedulerConfiguration/runningLimit`` bounds.
  let takesPlace: Bool

  public internal(set) var state = State.waiting
  /// Tokens whose K and V are in the table's slots.
  public internal(set) var computed = 0
  public internal(set) var table: BlockTable?
  /// What its KV policy keeps; nil without a policy that can ever be asked.
  public internal(set) var lanes: LaneTable?
  /// Most blocks that it ever held at once.
  public internal(set) var peakBlocks = 0
  /// Tokens that the first admission found in the prefix tree.
  public internal(set) var cachedTokens = 0
  public var explanation: CacheExplanation?
  public internal(set) var preemptions = 0
  /// The running prefill whose blocks this waiting sequence will reuse, and the token count from which it can.
  var prefixWait: (sequence: SequenceID, tokens: Int)?
  var wasAdmitted = false

  init(_ submission: Submission, id: SequenceID, arrival: UInt64) {
    self.id = id
    self.arrival = arrival
    request = submission.request
    tokens = submission.tokens
    promptCount = submission.tokens.count
    priority = submission.priority
    salt = submission.salt
    readsCache = submission.readsCache
    storesCache = submission.storesCache && submission.lanes == nil
    stepRowsLimit = submission.stepRowsLimit
    reservesPrompt = submission.reservesPrompt
    takesPlace = submission.takesPlace
    lanes = submission.lanes
  }

  /// A sibling that shares everything computed so far; used for several answers to one prompt.
  init(forking other: Sequence, id: SequenceID, table: BlockTable) {
    self.id = id
    arrival = other.arrival
    request = other.request
    tokens = other.tokens
    promptCount = other.promptCount
    priority = other.priority
    salt = other.salt
    readsCache = other.readsCache
    storesCache = other.storesCache
    stepRowsLimit = other.stepRowsLimit
    reservesPrompt = other.reservesPrompt
    takesPlace = true
    state = .running
    computed = other.computed
    cachedTokens = other.cachedTokens
    wasAdmitted = true
    lanes = other.lanes
    peakBlocks = table.blocks.count
    self.table = table
  }

  /// Tokens whose K and V are still to be computed.
  public var pending: Int { tokens.count - computed }
  /// Whether the next step computes just the newest token.
  public var isDecoding: Bool { pending == 1 && computed >= promptCount }
  public var generatedCount: Int { tokens.count - promptCount }
  /// Rows that the next step may compute: a KV policy that is due must be asked first.
  var stepRows: Int { min(pending, stepRowsLimit, lanes?.rowsUntilQuestion ?? .max) }
  /// Leading tokens that the prefix tree may supply. The last token is always computed: its logits are what the step is
  /// for.
  var reusableTokens: Int { min(tokens.count - 1, lanes?.cacheableTokens ?? .max) }
  /// Slots that all known tokens and one more need at most.
  var peakSlots: Int { lanes?.peakSlots(tokens: tokens.count + 1) ?? tokens.count + 1 }

  func append(_ token: TokenID) { tokens.append(token) }

  /// Lets the engine collect masses in the lanes.
  public func withLanes<Result>(_ body: (inout LaneTable) -> Result) -> Result? {
    guard var lanes else { return nil }
    // Taken out meanwhile, so that what is written into it is not copied.
    self.lanes = nil
    defer { self.lanes = lanes }
    return body(&lanes)
  }
}

/// What the engine hands to the scheduler for a new sequence.
public struct Submission: Sendable {
  public var request: RequestID
  public var tokens: [TokenID]
  public var priority = 0
  public var salt = ""
  public var readsCache = true
  public var storesCache = true
  public var stepRowsLimit = Int.max
  /// Reserves all slots of the prompt with its first chunk: its blocks are then known, and lie together, before they are
  /// computed; and no other sequence's equal blocks replace them. For prompts that are handed over as they are computed.
  public var reservesPrompt = false
  /// False for a prompt that is handed over as soon as it is computed: it never decodes here, so it need not wait until
  /// an answer ends and passes those that do. It waits for blocks like everybody.
  public var takesPlace = true
  /// The lanes of its KV policy; nil: the full cache.
  public var lanes: LaneTable?

  public init(request: RequestID, tokens: [TokenID]) {
    self.request = request
    self.tokens = tokens
  }
}
