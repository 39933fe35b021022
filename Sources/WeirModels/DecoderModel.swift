// A loaded model: its description and its weights.

public import WeirBasics
public import WeirKernels
public import WeirModelFiles

/// A decoder ready to run. Immutable: any number of workspaces may run it.
///
/// Invariant behind `@unchecked Sendable`: every stored property is a `let` and nothing writes to the weights' memory
/// after `init`.
public final class DecoderModel: @unchecked Sendable {
  public let description: DecoderDescription
  public let context: KernelContext
  /// Bytes of the weights as they lie in memory, packed for the kernels.
  public let weightBytes: Int
  /// Numbers the model has learnt.
  public let parameterCount: Int
  /// The storage type that holds most of the weights.
  public let weightType: TensorType
  let embedding: WeightMatrix
  let output: WeightMatrix
  let outputNorm: WeightVector
  let layers: [LayerWeights]
  let ropes: [RopeTable]

  /// Loads the weights of a model.
  ///
  /// - Parameters:
  ///   - source: an opened model.
  ///   - context: the kernels that will run it; weights are packed for them, on its pool.
  ///   - contextLength: positions that will be used at most; nil: all that the model was made for.
  ///   - progress: told the share that is done, `0...1`, on the calling thread.
  /// - Throws: `ModelError` that names the architecture, field or tensor that was wrong.
  public init(
    source: ModelSource, context: KernelContext, contextLength: Int? = nil,
    progress: (@Sendable (Double) -> Void)? = nil
  ) throws(ModelError) {
    let description = try DecoderDescription(source: source, contextLength: contextLength)
    var reader = TensorReader(source, description: description, context: context, progress: progress)
    let embeddingView = try reader.require(.embedding)
    embedding = try reader.matrix(embeddingView, rows: description.vocabularySize, columns: description.width)
    outputNorm = try reader.norm(.outputNorm, count: description.width)
    if description.isTied == true || (!reader.has(.output) && (description.isTied ?? true)) {
      output = embedding
    } else {
      output = try reader.matrix(
        try reader.require(.output), rows: description.vocabularySize, columns: description.width)
    }
    var layers: [LayerWeights] = []
    for index in 0..<description.layers { layers.append(try reader.layer(index)) }
    try reader.checkAllUsed()
    self.layers = layers
    self.description = description
    self.context = context
    ropes = description.ropes.map { $0.table() }
    var matrices = layers.flatMap(\.matrices) + [embedding]
    if output !== embedding { matrices.append(output) }
    weightBytes = matrices.reduce(0) { $0 + $1.packedBytes }
    parameterCount = matrices.reduce(0) { $0 + $1.rows * $1.columns }
    var sizes: [TensorType: Int] = [:]
    for matrix in matrices { sizes[matrix.type, default: 0] += matrix.rows * matrix.columns }
    weightType = sizes.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .f32
    progress?(1)
  }

  /// The shape of this model's KV blocks.
  ///
  /// - Precondition: a q8_0 or q4_0 side needs a head size that is a multiple of 32.
  public func kvShape(blockSlots: Int, keyType: KVElementType, valueType: KVElementType) -> KVShape {
    KVShape(
      layers: description.layers, kvHeads: description.kvHeads, headDim: description.headDim, blockSlots: blockSlots,
      keyType: keyType, valueType: valueType)
  }
}
