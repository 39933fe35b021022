// What an engine will hold in memory, worked out before it is held.

public import WeirBasics
public import WeirModels

/// Bytes by purpose. Peak resident memory stays within a tenth of ``totalBytes`` once every KV block has been used.
public struct EngineMemoryPlan: Sendable, Equatable {
  /// Weights as the kernels read them (repacked, or mapped from the file).
  public var weightBytes: Int
  /// The whole block pool; committed as blocks are first used.
  public var kvBytes: Int
  /// Scratch memory of the forward pass at the largest step.
  public var workspaceBytes: Int
  /// The program itself: code, tokenizer and the allocator's slack. Measured as peak resident memory less the rest:
  /// 44 MiB with a vocabulary of 512, 52 MiB with 32 000.
  public var programBytes: Int
  /// Bytes that one token's K and V take over all layers.
  public var tokenBytes: Int
  public var blocks: Int
  public var blockBytes: Int

  public var totalBytes: Int { weightBytes + kvBytes + workspaceBytes + programBytes }

  public init(model: DecoderModel, shape: KVShape, blocks: Int, stepTokens: Int) {
    weightBytes = model.weightBytes
    kvBytes = blocks * shape.blockBytes
    workspaceBytes = model.memoryPlan(maxRows: stepTokens, shape: shape).workspaceBytes
    programBytes = (42 << 20) + 320 * model.description.vocabularySize
    tokenBytes = shape.tokenBytes
    self.blocks = blocks
    blockBytes = shape.blockBytes
  }
}
