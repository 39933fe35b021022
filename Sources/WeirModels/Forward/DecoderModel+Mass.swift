// Attention mass for KV policies: what an observer computes from a layer's queries.

public import WeirBasics
public import WeirKernels

extension DecoderModel {
  /// Adds to the tallies the attention that the rows of one sequence paid in `layer`: see `KernelContext.addMass`.
  ///
  /// - Parameters:
  ///   - layer: the layer that an observer was told of.
  ///   - query: the queries of all rows of the batch.
  ///   - sequence: its rows, its blocks, its lanes; without lanes, every slot below its first position is resident.
  ///   - shape: of the blocks.
  ///   - tallies: how rows become numbers.
  ///   - out: `[kvHeads][tallies]`, each `tallyStride` numbers.
  ///   - tallyStride: at least the longest lane with the rows.
  public func addMass(
    layer: Int, query: Rows, sequence: BatchSequence, shape: KVShape, tallies: [MassTally],
    into out: UnsafeMutablePointer<Float>, tallyStride: Int
  ) {
    let lanes =
      sequence.lanes
      ?? KVLanes(
        older: Array(repeating: Int32(sequence.firstPosition), count: shape.layers * shape.kvHeads), positions: [],
        rows: sequence.rows.count, firstPosition: sequence.firstPosition)
    let call = MassCall(
      query: query.slice(sequence.rows), run: RowPlan.run(sequence, lanes, shape), layer: layer, shape: shape,
      heads: description.heads, scale: description.attentionScale, softcap: description.attentionSoftcap,
      window: description.layerKinds[layer].window, tallies: tallies)
    context.addMass(call, into: out, laneStride: tallies.count * tallyStride, tallyStride: tallyStride)
  }
}
