// What a door asks of the engine: tokens in, with everything that shapes the answer.

public import WeirBasics
public import WeirKVCache
public import WeirKVTransfer
public import WeirSampling

/// One request for generated tokens. A value: the engine never changes it.
public struct GenerationRequest: Sendable {
  public var id: RequestID
  /// At least one token.
  public var prompt: [TokenID]
  public var sampling = SamplingParameters()
  /// Nil: drawn by the engine.
  public var seed: UInt64?
  /// How many answers to make from one prompt (`n`), at least 1.
  public var choices = 1
  /// Most tokens per choice; nil: up to the context length.
  public var maxTokens: Int?
  /// End tokens and stop strings are not honoured before this many tokens.
  public var minTokens = 0
  public var stopStrings: [String] = []
  public var stopTokens: Set<TokenID> = []
  /// The model's own end tokens do not end the choice (`ignore_eos`).
  public var ignoreEndTokens = false
  /// The stop string that matched stays in the text.
  public var includeStopString = false
  /// Nil: no log-probabilities; 0: only the chosen token's; k: the k most probable ones as well.
  public var topLogprobs: Int?
  /// Nil: none; k: for every prompt token its log-probability and the k most probable ones.
  public var promptLogprobs: Int?
  public var constraint: ConstraintSource?
  public var skipSpecialTokens = true
  /// Lower runs first.
  public var priority = 0
  /// Requests share cached blocks only with requests of the same salt.
  public var cacheSalt = ""
  public var readsCache = true
  public var storesCache = true
  /// What to keep of the KV; nil: the engine's own policy, which is the full cache unless it was configured. A request
  /// with a policy that drops slots stores nothing in the cache.
  public var kvPolicy: KVPolicyRequest?
  /// Leading tokens of the prompt after which the policy is asked as at its end, before it has seen what follows: a
  /// context whose question is not known yet. Nil: the whole prompt.
  public var policyPromptTokens: Int?
  /// Keeps the prompt's KV for another node when the answer ends; `UsageReport.handoff` says where.
  public var handsOver = false
  /// Called on the engine's thread when the prompt of a request that hands over begins to be computed: its KV may be
  /// fetched from then on and is sent block by block as it is computed. It must be quick. Nil: it may be fetched when
  /// the answer ends. Not called where this node keeps no KV for others now.
  public var onHandoff: (@Sendable (HandoffTicket) -> Void)?
  /// Another node keeps this prompt's KV: it is fetched, checked and used, or the prompt is computed here.
  public var arrival: HandoffTicket?
  /// Asks for a `CacheExplanation` in the prompt report.
  public var explainsCache = false

  public init(id: RequestID, prompt: [TokenID]) {
    self.id = id
    self.prompt = prompt
  }
}
