// One description of every decoder family: what differs between models is data here, never a second forward pass.

public import WeirKernels
public import WeirModelFiles

/// The shape and the rules of one decoder-only transformer.
public struct DecoderDescription: Sendable {
  /// The name the file gives, for example `llama` or `qwen3_moe`.
  public var architecture: String
  public var vocabularySize: Int
  /// Positions the model was made for, with its own RoPE scaling applied.
  public var contextLength: Int
  /// Length of a hidden state.
  public var width: Int
  public var heads: Int
  public var kvHeads: Int
  /// Length of one head's query, key and value.
  public var headDim: Int
  /// Inner width of the dense feed-forward parts.
  public var feedForwardWidth: Int
  public var layerKinds: [LayerDescription]
  public var experts: ExpertDescription?
  /// Rotations that layers refer to by index.
  public var ropes: [RopeDescription]
  public var normEpsilon: Float
  public var activation: Activation = .silu
  /// Factor on query times key before the softmax.
  public var attentionScale: Float
  /// `cap * tanh(score / cap)` on attention scores; 0 is off.
  public var attentionSoftcap: Float = 0
  /// The same on logits; 0 is off.
  public var logitSoftcap: Float = 0
  public var embeddingScale: Float = 1
  /// Factor on what a part of a layer adds to the residual stream.
  public var residualScale: Float = 1
  /// Factor on the logits.
  public var logitScale: Float = 1
  /// The output matrix is the embedding matrix; nil: the file decides by having one or not.
  public var isTied: Bool?
  /// Norm weights are stored as their distance from 1 (Gemma's checkpoints).
  public var normsStoreOffset = false
  /// Q and K norms run over the whole row of heads instead of each head (OLMo-2).
  public var normsWholeRow = false
  /// Tensors that this family may not lack, beyond those that every family has.
  var required: Set<TensorRole> = []
  var names: TensorNames

  /// Number of layers.
  public var layers: Int { layerKinds.count }
  /// Query heads that share one KV head.
  public var headsPerKVHead: Int { heads / kvHeads }
}

/// What one layer does differently from its neighbours.
public struct LayerDescription: Sendable, Equatable {
  /// Keys that a query sees, itself included; 0 is all.
  public var window = 0
  /// Index into `ropes`; nil: no rotation.
  public var rope: Int? = 0
  /// The feed-forward part is a mixture of experts.
  public var usesExperts = false
}

/// A mixture of experts.
public struct ExpertDescription: Sendable, Equatable {
  public var count: Int
  /// Experts that each token uses.
  public var used: Int
  /// Inner width of one expert.
  public var width: Int
  /// Inner width of the expert that every token uses; 0: there is none.
  public var sharedWidth = 0
  /// The chosen experts' probabilities are rescaled to a sum of 1.
  public var normalisesWeights = true
}

extension DecoderDescription {
  /// Reads the description of a model.
  ///
  /// - Parameters:
  ///   - source: an opened model.
  ///   - contextLength: positions that will be used at most; decides between LongRoPE's short and long factors. nil: all
  ///     that the model was made for.
  /// - Throws: `ModelError` that names the unknown architecture or the wrong field.
  public init(source: ModelSource, contextLength: Int? = nil) throws(ModelError) {
    let parameters = Hyperparameters(source: source)
    self = try ArchitectureCatalog.describe(parameters, contextLength: contextLength)
    if let contextLength { self.contextLength = min(self.contextLength, contextLength) }
    try validate()
  }

  /// Checks what every later step takes for granted.
  func validate() throws(ModelError) {
    let limits: [(String, Int, ClosedRange<Int>)] = [
      ("vocabulary size", vocabularySize, 1...(1 << 24)), ("context length", contextLength, 1...(1 << 28)),
      ("width", width, 1...(1 << 20)), ("layers", layers, 1...4096), ("heads", heads, 1...4096),
      ("KV heads", kvHeads, 1...4096), ("head size", headDim, 2...4096),
      ("feed-forward width", feedForwardWidth, 1...(1 << 22)),
    ]
    for (name, value, range) in limits where !range.contains(value) {
      throw ModelError(.badField, name, "it is \(value), it must be in \(range.lowerBound)...\(range.upperBound)")
    }
    guard heads % kvHeads == 0 else {
      throw ModelError(.badField, "KV heads", "\(heads) heads cannot share \(kvHeads) KV heads: it must divide")
    }
    guard normEpsilon.isFinite, normEpsilon >= 0, attentionScale.isFinite else {
      throw ModelError(.badField, "norm epsilon", "it must be finite and at least 0")
    }
    for rope in ropes where rope.rotaryDim > headDim || rope.rotaryDim % 2 != 0 || rope.rotaryDim < 2 {
      throw ModelError(
        .badField, "rotary dimension", "it is \(rope.rotaryDim), it must be even and at most the head size \(headDim)")
    }
    guard let experts else { return }
    guard 1...1024 ~= experts.count, 1...experts.count ~= experts.used, experts.width > 0, experts.sharedWidth >= 0
    else {
      throw ModelError(
        .badField, "experts", "\(experts.used) of \(experts.count) experts of width \(experts.width) cannot be chosen")
    }
  }
}
