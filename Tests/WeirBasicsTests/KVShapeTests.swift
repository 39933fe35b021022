import Testing
import WeirBasics

@Suite struct KVShapeTests {
  @Test(arguments: KVElementType.allCases) func partsTileTheBlock(type: KVElementType) {
    let shape = KVShape(layers: 3, kvHeads: 2, headDim: 64, blockSlots: 16, keyType: type, valueType: .f16)
    #expect(shape.keyOffset(layer: 0) == 0)
    #expect(shape.valueOffset(layer: 2) + shape.valuePartBytes == shape.blockBytes)
    #expect(shape.keyOffset(layer: 1) % 64 == 0 && shape.valueOffset(layer: 1) % 64 == 0)
    #expect(shape.keyPartBytes >= shape.keyRowBytes * 16 * 2)
  }

  @Test func countsBlocksRoundedUp() {
    let shape = KVShape(layers: 1, kvHeads: 1, headDim: 32, blockSlots: 16, keyType: .f16, valueType: .f16)
    #expect(shape.blockCount(tokens: 0) == 0)
    #expect(shape.blockCount(tokens: 16) == 1)
    #expect(shape.blockCount(tokens: 17) == 2)
  }
}

@Suite struct SeededGeneratorTests {
  @Test func sameSeedAndStreamGiveTheSameDraws() {
    var a = SeededGenerator(seed: 7, stream: 3)
    var b = SeededGenerator(seed: 7, stream: 3)
    var c = SeededGenerator(seed: 7, stream: 4)
    let first = (0..<8).map { _ in a.next() }
    #expect(first == (0..<8).map { _ in b.next() })
    #expect(first != (0..<8).map { _ in c.next() })
  }

  @Test func unitFloatsAreUniform() {
    var g = SeededGenerator(seed: 1)
    let n = 10_000
    let mean = (0..<n).map { _ in g.unitDouble() }.reduce(0, +) / Double(n)
    // Standard error of the mean of n uniforms is 1/sqrt(12 n); five of them bound it at p < 1e-6.
    #expect(abs(mean - 0.5) < 5 / (12 * Double(n)).squareRoot())
  }
}
