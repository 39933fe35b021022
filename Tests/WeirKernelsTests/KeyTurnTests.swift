// Turning stored keys: what it is, and what many turns of rounded keys cost.

import Foundation
import Testing
import WeirBasics
import WeirKernels

@Suite struct KeyTurnTests {
  private static let dim = 40
  private static let pairs = 16

  private func table(_ layout: RopeTable.Layout, factor: Float = 1) -> RopeTable {
    RopeTable(
      rotaryDim: 2 * Self.pairs, layout: layout,
      inverseFrequencies: (0..<Self.pairs).map { Float(pow(10000, -Double($0) / Double(Self.pairs))) },
      attentionFactor: factor)
  }

  /// A block's worth of keys of one of three heads in the second of two layers.
  private func shape(_ type: KVElementType) -> KVShape {
    KVShape(layers: 2, kvHeads: 3, headDim: Self.dim, blockSlots: 8, keyType: type, valueType: type)
  }

  /// Stores `rows`, changes them, reads them again, and says whether all other bytes stayed.
  private func change(
    _ rows: FloatBuffer, _ type: KVElementType, _ context: KernelContext,
    _ body: ([UnsafeMutableRawPointer], KVShape) -> Void
  ) -> (keys: [Float], othersStayed: Bool) {
    let shape = shape(type)
    let count = rows.rows.count
    let blocks = TestBlocks(shape, count: shape.blockCount(tokens: count))
    let wide = FloatBuffer(rows: count, columns: 3 * Self.dim)
    for row in 0..<count {
      for column in 0..<Self.dim { wide.rows.row(row)[Self.dim + column] = rows.rows.row(row)[column] }
    }
    blocks.fill(context, k: wide.rows, v: wide.rows, layer: 1, at: 0..<count)
    func bytes() -> [UInt8] {
      blocks.blocks.flatMap { block in
        var all = Array(UnsafeRawBufferPointer(start: block, count: shape.blockBytes))
        let start = shape.keyOffset(layer: 1) + shape.keyHeadStride
        for place in start..<start + shape.keyHeadStride { all[place] = 0 }
        return all
      }
    }
    let before = bytes()
    body(blocks.blocks, shape)
    let keys = context.keys(in: blocks.starts, layer: 1, kvHead: 1, count: count, shape: shape)
    return (keys, bytes() == before)
  }

  @Test(arguments: InstructionSet.available) func aTurnIsADifferenceOfPositions(set: InstructionSet) {
    let context = KernelContext(instructionSet: set, pool: WorkerPool(threads: 1))
    for layout in [RopeTable.Layout.interleaved, .halves] {
      // YaRN's factor is in the keys once, whatever is turned.
      let table = table(layout, factor: 1.25)
      var generator = GoldenGenerator(seed: 3)
      let plain = generator.buffer(20, Self.dim)
      func rotated(_ positions: [Int32]) -> FloatBuffer {
        let copy = FloatBuffer(20, Self.dim, plain.values)
        context.rope(copy.rows, heads: 1, headDim: Self.dim, positions: positions, table: table)
        return copy
      }
      let old = (0..<20).map { Int32(1000 + 3 * $0) }
      for difference in [-1000, -17, 0, 5, 70000] {
        let expected = rotated(old.enumerated().map { 5..<18 ~= $0 ? $1 + Int32(difference) : $1 })
        let (keys, othersStayed) = change(rotated(old), .f32, context) { blocks, shape in
          context.turnKeys(
            5..<18, by: table.turn(by: difference), in: blocks, layer: 1, kvHead: 1, shape: shape)
        }
        // Two rotations of values below 1.25, rounded four times each.
        let worst = zip(keys, expected.values).map { abs($0 - $1) }.max() ?? .infinity
        #expect(worst <= 1.25 * 16 * 0x1p-24, "\(layout), \(difference): \(worst)")
        #expect(othersStayed)
      }
    }
  }

  /// A key of a budget of 1,024 slots with 16 slots of slack is turned 60 times before it goes.
  @Test(arguments: [(KVElementType.f32, Float(0x1p-23)), (.f16, 0x1p-11)])
  func roundingGrowsWithTheTurnsAtMost(type: KVElementType, unit: Float) {
    let context = KernelContext(pool: WorkerPool(threads: 1))
    let table = table(.halves)
    var generator = GoldenGenerator(seed: 4)
    let plain = generator.buffer(16, Self.dim)
    let (turns, by) = (60, -17)
    let whole = FloatBuffer(16, Self.dim, plain.values)
    context.rope(whole.rows, heads: 1, headDim: Self.dim, positions: Array(repeating: 1020, count: 16), table: table)
    let (keys, _) = change(whole, type, context) { blocks, shape in
      for _ in 0..<turns {
        context.turnKeys(0..<16, by: table.turn(by: by), in: blocks, layer: 1, kvHead: 1, shape: shape)
      }
    }
    var (worst, squares): (Float, Double) = (0, 0)
    for (found, wanted) in zip(keys, plain.values) {
      worst = max(worst, abs(found - wanted))
      squares += Double(found - wanted) * Double(found - wanted)
    }
    let typical = (squares / Double(keys.count)).squareRoot()
    // A pair is at most sqrt(2) long; each turn rounds both of its elements once, and computes in f32.
    #expect(worst <= Float(turns + 1) * unit * 1.5, "\(type): \(worst)")
    // Roundings are as often up as down.
    #expect(typical <= Double(turns).squareRoot() * Double(unit), "\(type): \(typical)")
    #expect(type == .f32 || worst > unit / 4, "nothing was rounded")
  }
}
