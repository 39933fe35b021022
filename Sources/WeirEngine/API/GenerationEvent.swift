// What the engine tells a door while it works on a request.

public import WeirBasics
public import WeirKVCache
public import WeirKVTransfer

/// One step of an answer. Order: `admitted`, then tokens of all choices mixed, one `finished` per choice, `done`.
public enum GenerationEvent: Sendable {
  /// Once, when the prompt has been computed, before the first token.
  case admitted(PromptReport)
  case token(TokenEvent)
  /// Once per choice.
  case finished(ChoiceEnd)
  /// Last.
  case done(UsageReport)
}

/// What became of the prompt.
public struct PromptReport: Sendable {
  public var promptTokens: Int
  /// Prompt tokens whose KV was found in the prefix tree.
  public var cachedTokens: Int
  /// Present if the request asked for it.
  public var explanation: CacheExplanation?
  /// One entry per prompt token, the first nil; present if the request asked for it.
  public var promptLogprobs: [TokenLogprob?]?
  /// What became of the request's ticket; nil if it had none.
  public var arrival: ArrivalReport?

  public init(
    promptTokens: Int, cachedTokens: Int, explanation: CacheExplanation? = nil, promptLogprobs: [TokenLogprob?]? = nil
  ) {
    self.promptTokens = promptTokens
    self.cachedTokens = cachedTokens
    self.explanation = explanation
    self.promptLogprobs = promptLogprobs
  }
}

/// The natural logarithm of a token's probability under the model's own distribution, with its rivals.
public struct TokenLogprob: Sendable, Equatable {
  /// One of the most probable tokens at a place.
  public struct Alternative: Sendable, Equatable {
    public var token: TokenID
    public var logprob: Float
    public init(token: TokenID, logprob: Float) {
      self.token = token
      self.logprob = logprob
    }
  }

  public var token: TokenID
  public var logprob: Float
  /// 1 for the most probable token; nil if it was not counted.
  public var rank: Int?
  /// Most probable first.
  public var top: [Alternative]

  public init(token: TokenID, logprob: Float, rank: Int? = nil, top: [Alternative] = []) {
    self.token = token
    self.logprob = logprob
    self.rank = rank
    self.top = top
  }
}

/// One generated token. Every token that usage counts comes as one, the token that ends a choice too, without text.
public struct TokenEvent: Sendable {
  public var choice: Int
  public var token: TokenID
  /// What this token adds to the text; empty while bytes or a possible stop string are held back.
  public var text: String
  public var logprob: TokenLogprob?
  /// Counts the tokens of the choice from 0.
  public var index: Int

  public init(choice: Int, token: TokenID, text: String, logprob: TokenLogprob? = nil, index: Int) {
    self.choice = choice
    self.token = token
    self.text = text
    self.logprob = logprob
    self.index = index
  }
}

/// Why a choice ended.
public enum FinishReason: String, Sendable, CaseIterable {
  case stop
  case length
  case cancelled = "abort"
}

/// The end of one choice.
public struct ChoiceEnd: Sendable {
  public var choice: Int
  public var reason: FinishReason
  /// Text that was held back and belongs to the answer; append it.
  public var text: String
  public var stopString: String?
  public var stopToken: TokenID?

  public init(
    choice: Int, reason: FinishReason, text: String = "", stopString: String? = nil, stopToken: TokenID? = nil
  ) {
    self.choice = choice
    self.reason = reason
    self.text = text
    self.stopString = stopString
    self.stopToken = stopToken
  }
}

/// The KV of one choice. A lane is one KV head of one layer; without a policy all lanes hold the same slots.
public struct KVUsage: Sendable, Equatable {
  /// The policy's name; nil: the full cache.
  public var policy: String?
  /// Slots per lane at the end: the lane with the fewest, the mean, the lane with the most.
  public var minimumSlots: Int
  public var meanSlots: Double
  public var maximumSlots: Int
  /// Bytes of KV blocks, of which some may be shared, when the choice held most of them; with its policy's own state
  /// (positions and masses of its slots) as it is at the end.
  public var peakBytes: Int
  /// Times the policy was asked, and slots it dropped, summed over lanes.
  public var questions = 0
  public var droppedSlots = 0
  /// What its rows chose to read; nil if they read everything that was kept.
  public var reading: KVReading?
  /// Tokens computed after the prompt (after `policyPromptTokens` under a policy that was told one), and the slots that
  /// were resident for their attention and not left out by choice, summed over tokens and lanes; sliding windows read
  /// fewer.
  public var decodeTokens = 0
  public var decodeSlots = 0

  public init(policy: String?, minimumSlots: Int, meanSlots: Double, maximumSlots: Int, peakBytes: Int) {
    self.policy = policy
    self.minimumSlots = minimumSlots
    self.meanSlots = meanSlots
    self.maximumSlots = maximumSlots
    self.peakBytes = peakBytes
  }
}

/// What the rows of a choice read of the KV that is held, under a policy that selects.
public struct KVReading: Sendable, Equatable {
  /// Rows that chose; earlier ones had no more slots than they may read.
  public var rows: Int
  /// Slots that a row read of a lane, the mean over rows and lanes that chose.
  public var meanSlots: Double
  /// Parts of the text that could be chosen at the end.
  public var parts: Int
  /// Bytes of keys and values that rows read, and those of them that the row before had not read: what would have to be
  /// fetched if the rest lay in a slower tier. Here all of it lies in one memory.
  public var readBytes: Int
  public var newBytes: Int
  /// Bytes that choosing needs besides: mean keys, starts of parts, queries. Contained in the peak.
  public var stateBytes: Int

  public init(rows: Int, meanSlots: Double, parts: Int, newBytes: Int, readBytes: Int, stateBytes: Int) {
    self.rows = rows
    self.meanSlots = meanSlots
    self.parts = parts
    self.newBytes = newBytes
    self.readBytes = readBytes
    self.stateBytes = stateBytes
  }
}

/// What a request used. Times are in seconds of the engine's clock.
public struct UsageReport: Sendable {
  public var promptTokens: Int
  public var cachedTokens: Int
  /// Over all choices.
  public var completionTokens: Int
  /// From arrival to the first step that computed a part of the prompt.
  public var queueSeconds = 0.0
  /// From there to the end of the prompt.
  public var prefillSeconds = 0.0
  /// From there to the last token.
  public var decodeSeconds = 0.0
  public var timeToFirstTokenSeconds = 0.0
  public var totalSeconds = 0.0
  public var preemptions = 0
  /// What each choice that ran held of the KV cache.
  public var kv: [KVUsage] = []
  /// Where the prompt's KV is kept, if the request asked for that and this node can.
  public var handoff: HandoffTicket?

  public init(promptTokens: Int, cachedTokens: Int, completionTokens: Int) {
    self.promptTokens = promptTokens
    self.cachedTokens = cachedTokens
    self.completionTokens = completionTokens
  }
}
