// The limits and choices of one engine, resolved and checked before anything is allocated.

public import WeirBasics
public import WeirKVCache
import WeirModels

/// Everything an engine is told at start; immutable.
public struct EngineConfiguration: Sendable {
  /// The name clients address the model by.
  public var modelName: String
  /// Token slots in one KV block, a power of two in `8...256`.
  public var blockSlots: Int
  public var keyType: KVElementType
  public var valueType: KVElementType
  /// Bytes of KV memory to reserve; nil takes room for `defaultSequences` sequences of the full context, at most 2 GiB.
  public var kvBytes: Int?
  /// Longest sequence; nil takes the model's own limit.
  public var contextLength: Int?
  public var runningLimit: Int
  public var queueLimit: Int
  public var stepTokens: Int
  public var mixedPrefillTokens: Int
  /// Whether finished prompts stay cached for other requests.
  public var prefixCache: Bool
  /// Seeds requests that bring no seed of their own.
  public var seed: UInt64
  /// Makes the KV policies that requests name; nil: every request has the full cache.
  public var policies: (any KVPolicyResolver)?
  /// The policy of requests that name none; nil: the full cache.
  public var kvPolicy: KVPolicyRequest?
  /// Hears of every change of the prefix tree, on the step-loop thread, after each step: it must not wait. Nil: nobody
  /// does.
  public var onKVEvents: (@Sendable ([KVEvent]) -> Void)?
  /// Lets the engine hand KV to other nodes and take theirs; nil: it does neither.
  public var handoff: HandoffOptions?

  public init(
    modelName: String, blockSlots: Int = 32, keyType: KVElementType = .f16, valueType: KVElementType = .f16,
    kvBytes: Int? = nil, contextLength: Int? = nil, runningLimit: Int = 64, queueLimit: Int = 1024,
    stepTokens: Int = 512, mixedPrefillTokens: Int = 256, prefixCache: Bool = true, seed: UInt64 = 0
  ) {
    self.modelName = modelName
    self.blockSlots = blockSlots
    self.keyType = keyType
    self.valueType = valueType
    self.kvBytes = kvBytes
    self.contextLength = contextLength
    self.runningLimit = runningLimit
    self.queueLimit = queueLimit
    self.stepTokens = stepTokens
    self.mixedPrefillTokens = mixedPrefillTokens
    self.prefixCache = prefixCache
    self.seed = seed
  }

  static let defaultSequences = 4
  static let defaultBytesMax = 2 << 30

  /// Blocks of the pool for a model of this shape.
  ///
  /// - Throws: ``EngineError`` with code `invalid_configuration` if not even one sequence of one block fits.
  public func blockLimit(shape: KVShape, contextLength: Int) throws(EngineError) -> Int {
    let perSequence = shape.blockCount(tokens: contextLength)
    let wanted = max(perSequence, 1) * Self.defaultSequences
    let bytes = kvBytes ?? min(wanted * shape.blockBytes, max(Self.defaultBytesMax, perSequence * shape.blockBytes))
    let blocks = bytes / shape.blockBytes
    guard blocks >= 2 else {
      throw EngineError(
        .invalidConfiguration,
        message:
          "KV memory of \(bytes) bytes holds \(blocks) blocks of \(shape.blockBytes) bytes; at least 2 are needed")
    }
    return blocks
  }

  func validate(headDim: Int) throws(EngineError) {
    guard (8...256).contains(blockSlots), blockSlots & (blockSlots - 1) == 0 else {
      throw EngineError(
        .invalidConfiguration, message: "block size is \(blockSlots); it must be a power of two in 8...256")
    }
    for (name, type) in [("key", keyType), ("value", valueType)] where type.isGrouped && headDim % 32 != 0 {
      throw EngineError(
        .invalidConfiguration,
        message: "\(type.rawValue) \(name) cache needs a head size that is a multiple of 32; this model's is \(headDim)"
      )
    }
  }
}

extension EngineConfiguration {
  /// What could only be refused request by request is refused before the engine starts.
  ///
  /// - Throws: ``EngineError`` with code `invalid_configuration` for a default policy that cannot be made, or that this
  ///   model with keys of this type cannot follow up to the context's end.
  func checkPolicy(model: DecoderDescription, shape: KVShape, contextLength: Int) throws(EngineError) {
    guard let wanted = kvPolicy else { return }
    guard let policies else {
      throw EngineError(
        .invalidConfiguration, message: "--kv-policy is \(wanted.name), but this engine is started without KV policies")
    }
    func policy(promptTokens: Int) throws -> KVPolicy {
      let facts = KVPolicyFacts(promptTokens: promptTokens, layers: shape.layers, kvHeads: shape.kvHeads)
      return try policies.policy(for: wanted, facts: facts)
    }
    let shortest: KVPolicy
    do {
      shortest = try policy(promptTokens: 1)
    } catch {
      throw EngineError(.invalidConfiguration, message: (error as? any WeirError)?.message ?? "\(error)")
    }
    // A share of a long prompt may be more than the operator allows: that depends on the request.
    let longest = (try? policy(promptTokens: contextLength)) ?? shortest
    guard
      let refusal = NumberingRefusal(policy: longest, model: model, shape: shape, tokens: contextLength)
    else { return }
    throw EngineError(
      .invalidConfiguration,
      message: "--kv-policy \(wanted.name) numbers slots anew, \(refusal.reason); change \(refusal.flag) or "
        + "--kv-policy (\(refusal.remedy))")
  }
}
