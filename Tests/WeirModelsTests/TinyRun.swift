// Runs a model the way the engine does, in the smallest form: blocks from the heap, one call per chunk.

import Foundation
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

/// Heap memory for KV blocks.
final class HeapBlocks {
  let shape: KVShape
  let addresses: [UnsafeMutableRawPointer]

  init(_ shape: KVShape, count: Int) {
    self.shape = shape
    addresses = (0..<count).map { _ in
      let block = UnsafeMutableRawPointer.allocate(byteCount: shape.blockBytes, alignment: 64)
      // Slots that nobody wrote must not matter: NaN shows if they do.
      block.initializeMemory(as: UInt8.self, repeating: 0xFF, count: shape.blockBytes)
      return block
    }
  }

  deinit { for address in addresses { address.deallocate() } }

  /// Copies whole blocks from another space of the same shape.
  func copy(from other: HeapBlocks) {
    for (to, from) in zip(addresses, other.addresses) { to.copyMemory(from: from, byteCount: shape.blockBytes) }
  }
}

/// One sequence that grows.
final class TinyRun {
  let model: DecoderModel
  let workspace: ForwardWorkspace
  let blocks: HeapBlocks
  private(set) var position = 0

  init(_ model: DecoderModel, slots: Int = 256, blockSlots: Int = 16, maxRows: Int = 128) {
    self.model = model
    workspace = ForwardWorkspace(model: model, maxRows: maxRows)
    let shape = model.kvShape(blockSlots: blockSlots, keyType: .f32, valueType: .f32)
    blocks = HeapBlocks(shape, count: shape.blockCount(tokens: slots))
  }

  var shape: KVShape { blocks.shape }

  /// Computes the next tokens in one call; logits of `outputs`, nil: of every row.
  func append(_ tokens: [TokenID], outputs: [Int]? = nil) -> [[Float]] {
    let batch = ForwardBatch(
      tokens: tokens, positions: tokens.indices.map { Int32(position + $0) },
      sequences: [BatchSequence(blocks: blocks.addresses, rows: tokens.indices, firstPosition: position)],
      outputRows: outputs ?? Array(tokens.indices))
    position += tokens.count
    return model.forward(batch, shape: shape, workspace: workspace).copied()
  }

  /// Computes tokens in chunks of at most `chunk`; logits of every row.
  func append(_ tokens: [TokenID], chunk: Int) -> [[Float]] {
    stride(from: 0, to: tokens.count, by: chunk).flatMap { first in
      append(Array(tokens[first..<min(first + chunk, tokens.count)]))
    }
  }
}

extension Rows {
  /// The rows as arrays.
  func copied() -> [[Float]] {
    (0..<count).map { Array(UnsafeBufferPointer(start: row($0), count: columns)) }
  }
}

extension [Float] {
  /// Index of the largest value; the lowest wins ties.
  var argmax: Int { indices.max { (self[$0], $1) < (self[$1], $0) } ?? 0 }

  var logSumExp: Double {
    let largest = Double(self.max() ?? 0)
    return largest + log(reduce(0) { $0 + exp(Double($1) - largest) })
  }
}

extension Collection<[Float]> {
  /// The largest absolute difference to `other`; infinite if the shapes differ.
  func distance(_ other: some Collection<[Float]>) -> Float {
    guard count == other.count else { return .infinity }
    return zip(self, other).reduce(0) { worst, pair in
      guard pair.0.count == pair.1.count else { return .infinity }
      return zip(pair.0, pair.1).reduce(worst) { $0 > abs($1.0 - $1.1) ? $0 : abs($1.0 - $1.1) }
    }
  }
}
