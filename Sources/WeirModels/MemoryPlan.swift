// How much memory a model will take, before and after it is loaded.

public import WeirBasics
import WeirKernels
public import WeirModelFiles

/// Memory of one loaded model, without the KV pool itself and without the process.
public struct MemoryPlan: Sendable, Equatable {
  /// Packed weights, norms and biases.
  public var weightBytes: Int
  /// Scratch memory of one workspace.
  public var workspaceBytes: Int
  /// K and V of one token over all layers, without padding.
  public var kvBytesPerToken: Int
  /// One KV block.
  public var kvBlockBytes: Int

  /// Everything but the KV pool.
  public var fixedBytes: Int { weightBytes + workspaceBytes }
}

extension DecoderModel {
  /// Plans a model from its files alone: nothing is packed.
  ///
  /// - Parameters:
  ///   - source: an opened model.
  ///   - maxRows: rows of the largest step.
  ///   - logitRows: rows of it whose logits are wanted.
  ///   - blockSlots: token slots of a KV block.
  ///   - keyType: how keys are stored.
  ///   - valueType: how values are stored.
  /// - Returns: the plan; workspace and weights within a percent of what loading takes.
  /// - Throws: `ModelError` if the model could not be loaded.
  public static func memoryPlan(
    source: ModelSource, maxRows: Int, logitRows: Int = 8, blockSlots: Int, keyType: KVElementType,
    valueType: KVElementType
  ) throws(ModelError) -> MemoryPlan {
    let description = try DecoderDescription(source: source)
    var weights = 0
    for view in source.tensors.values where description.isPart(view.name) {
      // Each expert of a stacked tensor is packed alone.
      let parts = view.shape.count > 2 ? view.shape.dropLast(2).reduce(1, *) : 1
      let rows = view.shape.count < 2 ? 0 : view.rows / max(parts, 1)
      let packed = WeightMatrix.packedBytes(rows: rows, columns: view.columns, type: view.type)
      weights += rows == 0 ? view.elementCount * 4 : parts * (packed ?? view.bytes.count)
    }
    let shape = KVShape(
      layers: description.layers, kvHeads: description.kvHeads, headDim: description.headDim, blockSlots: blockSlots,
      keyType: keyType, valueType: valueType)
    return MemoryPlan(
      weightBytes: weights,
      workspaceBytes: description.workspaceBytes(maxRows: maxRows, logitRows: logitRows),
      kvBytesPerToken: shape.tokenBytes, kvBlockBytes: shape.blockBytes)
  }

  /// The plan of this loaded model; weights are exact.
  public func memoryPlan(maxRows: Int, logitRows: Int = 8, shape: KVShape) -> MemoryPlan {
    MemoryPlan(
      weightBytes: weightBytes,
      workspaceBytes: description.workspaceBytes(maxRows: maxRows, logitRows: logitRows),
      kvBytesPerToken: shape.tokenBytes, kvBlockBytes: shape.blockBytes)
  }
}

extension DecoderDescription {
  /// The tensor belongs to the decoder, not to a vision tower or another head.
  func isPart(_ name: String) -> Bool {
    if name.hasPrefix(names.layerPrefix) { return true }
    if isTied == true, names.candidates(.output).contains(name) { return false }
    return [TensorRole.embedding, .outputNorm, .output].contains { names.candidates($0).contains(name) }
  }

  /// Bytes of a `ForwardWorkspace` of this model.
  func workspaceBytes(maxRows: Int, logitRows: Int) -> Int {
    func bytes(_ rows: Int, _ columns: Int) -> Int { rows * (columns + 15) / 16 * 16 * 4 }
    let outputs = min(maxRows, logitRows)
    var total = 3 * bytes(maxRows, width) + 2 * bytes(maxRows, heads * headDim) + 2 * bytes(maxRows, kvHeads * headDim)
    total += 2 * bytes(maxRows, ForwardWorkspace.innerWidth(self)) + bytes(outputs, width + vocabularySize)
    guard let experts else { return total }
    let slots = maxRows * experts.used
    total += bytes(maxRows, experts.count + 1) + 2 * bytes(slots, width) + 2 * bytes(slots, experts.width)
    return total + slots * (2 * MemoryLayout<Int>.stride + MemoryLayout<Float>.stride)
  }
}
