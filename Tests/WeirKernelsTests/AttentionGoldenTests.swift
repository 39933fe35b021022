import CWeirKernels
import Glibc
import Testing
import WeirBasics
import WeirKernels

/// Attention against values computed in double precision by NumPy, and its parts against their definitions.
struct AttentionGoldenTests {
  static let golden: GoldenKernels? = try? GoldenKernels.load()

  @Test func goldenValuesAreThere() throws {
    #expect(try GoldenKernels.load().attention.count == 15)
  }

  @Test(arguments: InstructionSet.available, golden?.attention ?? [])
  func equalsDoublePrecisionWithinItsTolerance(set: InstructionSet, golden: GoldenKernels.Attention) throws {
    let context = KernelContext(instructionSet: set, pool: WorkerPool(threads: 2))
    let shape = KVShape(
      layers: 2, kvHeads: golden.kvHeads, headDim: golden.headDim, blockSlots: golden.blockSlots,
      keyType: try #require(KVElementType(rawValue: golden.keyType)),
      valueType: try #require(KVElementType(rawValue: golden.valueType)))
    var generator = GoldenGenerator(seed: golden.seed)
    let query = FloatBuffer(
      golden.positions.count, golden.heads * golden.headDim,
      generator.floats(golden.positions.count * golden.heads * golden.headDim).map { $0 * golden.querySize })
    let k = generator.buffer(golden.keys, golden.kvHeads * golden.headDim)
    let v = generator.buffer(golden.keys, golden.kvHeads * golden.headDim)
    let blocks = TestBlocks(shape, count: shape.blockCount(tokens: golden.keys))
    blocks.fill(context, k: k.rows, v: v.rows, layer: 1, at: 0..<golden.keys)
    let output = FloatBuffer(rows: golden.positions.count, columns: golden.heads * golden.headDim)
    let run = KVRun(blocks: blocks.starts, count: golden.keys, firstPosition: 0)
    context.attend(
      AttentionCall(
        query: query.rows, rowPositions: golden.positions,
        groups: [AttentionGroup(rows: golden.positions.indices.map { Int32($0) }, run: run)], layer: 1, shape: shape,
        heads: golden.heads, scale: 1 / Float(golden.headDim).squareRoot(), softcap: golden.softcap,
        window: golden.window, bidirectional: golden.bidirectional, output: output.rows))
    let worst = zip(output.values, golden.output).map { abs($0 - $1) }.max() ?? .infinity
    #expect(worst <= golden.tolerance, "worst error \(worst)")
    #expect(output.values.allSatisfy { $0.isFinite })
  }

  @Test(arguments: InstructionSet.available)
  func exponentialErrsByLessThanTwoToTheMinus22(set: InstructionSet) throws {
    let kernels = try #require(weir_attention_kernels_for(native(set)))
    let x = (0...400_000).map { -87 + Float($0) * (175.0 / 400_000) }
    var y = [Float](repeating: 0, count: x.count)
    weir_exp_row(kernels, x, Int64(x.count), &y)
    let worst = zip(x, y).map { abs(Double($1) / exp(Double($0)) - 1) }.max() ?? 1
    #expect(worst < 0x1p-22, "relative error \(worst)")
    let edges: [Float] = [0, -0.0, -.infinity, -1e30, -104]
    weir_exp_row(kernels, edges, 5, &y)
    #expect(Array(y.prefix(5)) == [1, 1, 0, 0, 0])
  }

  @Test(arguments: KVElementType.allCases)
  func storesTheSameBytesWithEveryInstructionSet(type: KVElementType) {
    var generator = GoldenGenerator(seed: 77)
    var values = generator.floats(64 * 2 * 4).enumerated().map {
      $1 * Float(sign: .plus, exponent: $0 % 40 - 28, significand: 1)
    }
    values.replaceSubrange(0..<6, with: [65504, -65520, 0x1p-24, 0x1.8p-25, -0.0, 0x1.004p0])
    let shape = KVShape(layers: 1, kvHeads: 2, headDim: 64, blockSlots: 4, keyType: type, valueType: type)
    let rows = FloatBuffer(4, 128, values)
    var first: [UInt8]?
    for set in InstructionSet.available {
      let blocks = TestBlocks(shape, count: 1)
      blocks.fill(
        KernelContext(instructionSet: set, pool: WorkerPool(threads: 1)), k: rows.rows, v: rows.rows, layer: 0,
        at: 0..<4)
      let bytes = Array(UnsafeRawBufferPointer(start: blocks.blocks[0], count: shape.blockBytes))
      #expect(first == nil || first == bytes, "\(set.rawValue) stores other bytes")
      first = bytes
    }
    if type == .f16, let first {
      for slot in 0..<4 {
        for (i, value) in values[slot * 128..<slot * 128 + 64].enumerated() {
          let at = slot * 128 + i * 2
          #expect(UInt16(first[at]) | UInt16(first[at + 1]) << 8 == Float16(value).bitPattern)
        }
      }
    }
  }

  @Test func probeMeasuresAPromptAndCountsItsBytes() {
    let context = KernelContext(pool: WorkerPool(threads: 2))
    let rate = KernelProbe.attentionRate(depth: 24, rows: 8, context: context)
    // 32 keys of 4 heads, 64 halves each for K and V; 8 rows see 24 + 4.5 keys on average.
    #expect(abs(rate.gigabytesPerSecond * rate.secondsPerLayer * 1e9 - 32 * 4 * 64 * 2 * 2) < 1)
    #expect(abs(rate.gigaoperationsPerSecond * rate.secondsPerLayer * 1e9 - 4 * 8 * 28.5 * 2048) < 1)
    #expect(rate.secondsPerLayer > 0 && rate.secondsPerLayer < 10)
  }

  private func native(_ set: InstructionSet) -> weir_isa {
    switch set {
    case .scalar: WEIR_ISA_SCALAR
    case .avx2: WEIR_ISA_AVX2
    case .avx512: WEIR_ISA_AVX512
    case .vnni: WEIR_ISA_VNNI
    case .neon: WEIR_ISA_NEON
    }
  }
}
