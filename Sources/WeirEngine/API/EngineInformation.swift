// What the doors may say about the model and the engine; fixed for the engine's life.

public import WeirBasics
public import WeirText

/// The model and the engine's shape.
public struct EngineInformation: Sendable {
  /// The name clients use.
  public var modelName: String
  /// Other names that clients may use for the same model.
  public var modelAliases: [String] = []
  /// Most tokens of prompt and answer together.
  public var contextLength: Int
  public var vocabularySize: Int
  public var tokenizer: Tokenizer
  public var chatTemplate: ChatTemplate?
  /// For example `llama`, `qwen3`.
  public var architecture = ""
  public var parameterCount = 0
  public var weightBytes = 0
  public var keyType = KVElementType.f16
  public var valueType = KVElementType.f16
  /// Token slots in one KV block.
  public var blockSlots = 16
  public var totalBlocks = 0
  /// Bytes of one KV block, all layers.
  public var blockBytes = 0
  /// The KV policy of requests that name none; nil: the full cache.
  public var kvPolicy: String?
  public var prefixCaching = true
  /// Most sequences computed in one step.
  public var maxSequences = 0
  /// Most tokens computed in one step.
  public var stepTokens = 0
  public var threads = 1
  /// For example `avx512`.
  public var instructionSet = ""
  /// The shape of a KV block; nil for an engine without KV of its own.
  public var kvShape: KVShape?
  /// What makes this node's KV equal to another's, if the engine takes part in handoffs.
  public var modelFingerprint: UInt64?
  /// Most prefill tokens of a step in which others decode.
  public var mixedPrefillTokens = 0
  /// Length of an embedding; 0 if the model cannot embed.
  public var embeddingWidth = 0
  public var startedAt = Instant(nanoseconds: 0)

  public init(
    modelName: String, contextLength: Int, vocabularySize: Int, tokenizer: Tokenizer, chatTemplate: ChatTemplate? = nil
  ) {
    self.modelName = modelName
    self.contextLength = contextLength
    self.vocabularySize = vocabularySize
    self.tokenizer = tokenizer
    self.chatTemplate = chatTemplate
  }
}
