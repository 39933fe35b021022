import Foundation
import WeirBasics
import WeirKernels

// Reads Tests/Golden/kernels/attention.json (made by make_attention.py), and makes the inputs that belong to it.

struct GoldenKernels: Decodable {
  struct Attention: Decodable {
    let seed: UInt64
    let heads, kvHeads, headDim, keys, blockSlots: Int
    let positions: [Int32]
    let querySize: Float
    let keyType, valueType: String
    let window: Int
    let softcap: Float
    let bidirectional: Bool
    let tolerance: Float
    let output: [Float]
  }

  struct RowResults: Decodable {
    let seed: UInt64
    let count, columns: Int
    let results: [String: [Float]]
  }

  struct Rope: Decodable {
    let seed: UInt64
    let layout: String
    let heads, headDim, rotaryDim: Int
    let positions: [Int32]
    let frequencies: [Float]
    let results: [Float]
  }

  let attention: [Attention]
  let rows: RowResults
  let rope: [Rope]

  static func load() throws -> GoldenKernels {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden/kernels/attention.json")
    return try JSONDecoder().decode(GoldenKernels.self, from: Data(contentsOf: file))
  }
}

/// The generator of make_attention.py: uniform in [-1, 1), exact in f32.
struct GoldenGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) * 0x1p-23 - 1
    }
  }

  /// Rows `[count, columns]`.
  mutating func buffer(_ count: Int, _ columns: Int) -> FloatBuffer {
    FloatBuffer(count, columns, floats(count * columns))
  }
}

extension FloatBuffer {
  convenience init(_ count: Int, _ columns: Int, _ values: [Float]) {
    self.init(rows: count, columns: columns)
    for row in 0..<count { for column in 0..<columns { rows.row(row)[column] = values[row * columns + column] } }
  }

  var values: [Float] { (0..<rows.count).flatMap { rows.values($0) } }
}

extension Rows {
  func values(_ row: Int) -> [Float] { Array(UnsafeBufferPointer(start: self.row(row), count: columns)) }
}

/// Blocks of one shape, filled through `storeKV`. Slots that were never written hold NaN patterns.
final class TestBlocks {
  let shape: KVShape
  let blocks: [UnsafeMutableRawPointer]

  init(_ shape: KVShape, count: Int) {
    self.shape = shape
    blocks = (0..<count).map { _ in
      let memory = UnsafeMutableRawPointer.allocate(byteCount: shape.blockBytes, alignment: 64)
      memory.initializeMemory(as: UInt8.self, repeating: 0xff, count: shape.blockBytes)
      return memory
    }
  }

  deinit { for block in blocks { block.deallocate() } }

  var starts: [UnsafeRawPointer] { blocks.map { UnsafeRawPointer($0) } }

  func slot(_ position: Int) -> SlotAddress {
    SlotAddress(block: blocks[position / shape.blockSlots], slot: position % shape.blockSlots)
  }

  func fill(_ context: KernelContext, k: Rows, v: Rows, layer: Int, at positions: Range<Int>) {
    context.storeKV(k: k, v: v, layer: layer, shape: shape, slots: positions.map(slot))
  }
}
