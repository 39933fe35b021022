import Testing
import WeirKernels

/// Row operations against values computed in double precision by NumPy, with every instruction set.
struct RowOperationTests {
  static let golden: GoldenKernels? = try? GoldenKernels.load()

  // |x| < 4, |w| and |b| < 1: results are below 16. Sums of 37 terms, a root, a division and two products err by less
  // than 64 roundings of that size; activations add an absolute 4e-7 times 4.
  private let tolerance: Float = 16 * 64 * 0x1p-24 + 16e-7

  @Test(arguments: InstructionSet.available)
  func equalDoublePrecision(set: InstructionSet) throws {
    let golden = try GoldenKernels.load().rows
    let context = KernelContext(instructionSet: set, pool: WorkerPool(threads: 2))
    for (name, expected) in golden.results {
      var generator = GoldenGenerator(seed: golden.seed)
      let x = FloatBuffer(
        golden.count, golden.columns, generator.floats(golden.count * golden.columns).map { $0 * 4 })
      let w = generator.buffer(1, golden.columns), b = generator.buffer(1, golden.columns)
      let weight = UnsafePointer(w.rows.base), bias = UnsafePointer(b.rows.base)
      let partner = FloatBuffer(
        golden.count, golden.columns, (0..<golden.count).flatMap { _ in w.values })
      switch name {
      case "rmsNorm": context.rmsNorm(x.rows, weight: weight, epsilon: 1e-5, addOne: false, into: x.rows)
      case "rmsNormAddOne":
        context.headNorm(x.rows, heads: 1, headDim: golden.columns, weight: weight, epsilon: 1e-5, addOne: true)
      case "layerNorm": context.layerNorm(x.rows, weight: weight, bias: bias, epsilon: 1e-5, into: x.rows)
      case "layerNormNoBias": context.layerNorm(x.rows, weight: weight, bias: nil, epsilon: 1e-5, into: x.rows)
      case "softcap": context.softcap(x.rows, cap: 3)
      default:
        let activation = try #require(Activation(rawValue: name))
        context.gate(x.rows, partner.rows, activation: activation, into: x.rows)
      }
      let worst = zip(x.values, expected).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst <= tolerance, "\(name): worst error \(worst)")
    }
  }

  @Test(arguments: InstructionSet.available)
  func ropeEqualsDoublePrecision(set: InstructionSet) throws {
    let context = KernelContext(instructionSet: set, pool: WorkerPool(threads: 2))
    for golden in try GoldenKernels.load().rope {
      var generator = GoldenGenerator(seed: golden.seed)
      let x = generator.buffer(golden.positions.count, golden.heads * golden.headDim)
      let table = RopeTable(
        rotaryDim: golden.rotaryDim, layout: golden.layout == "halves" ? .halves : .interleaved,
        inverseFrequencies: golden.frequencies, attentionFactor: 1)
      context.rope(x.rows, heads: golden.heads, headDim: golden.headDim, positions: golden.positions, table: table)
      // Two products and a sum of values below 1, with rounded cosines: four roundings.
      for (a, b) in zip(x.values, golden.results) { #expect(abs(a - b) <= 4 * 0x1p-24) }
    }
  }

  @Test(arguments: InstructionSet.available)
  func lengthsAndOtherRowsDoNotMatter(set: InstructionSet) {
    let context = KernelContext(instructionSet: set, pool: WorkerPool(threads: 2))
    let scalar = KernelContext(instructionSet: .scalar, pool: WorkerPool(threads: 1))
    for columns in [1, 7, 8, 15, 16, 17, 63, 64, 65, 1000] {
      var generator = GoldenGenerator(seed: UInt64(columns))
      let x = generator.buffer(70, columns), w = generator.buffer(1, columns), y = generator.buffer(70, columns)
      let weight = UnsafePointer(w.rows.base)
      let many = FloatBuffer(rows: 70, columns: columns), one = FloatBuffer(rows: 1, columns: columns)
      let plain = FloatBuffer(rows: 70, columns: columns)
      context.rmsNorm(x.rows, weight: weight, epsilon: 1e-6, addOne: false, into: many.rows)
      scalar.rmsNorm(x.rows, weight: weight, epsilon: 1e-6, addOne: false, into: plain.rows)
      for row in 0..<70 {
        context.rmsNorm(
          x.rows.slice(row..<row + 1), weight: weight, epsilon: 1e-6, addOne: false, into: one.rows)
        #expect(one.values == many.rows.values(row))
        // The plain sum of n squares errs by n roundings, its root by half of that; normed values are below sqrt(n).
        let tolerance = Float(columns) * Float(columns).squareRoot() * 0x1p-24 + 4 * 0x1p-24
        for (a, b) in zip(many.rows.values(row), plain.rows.values(row)) { #expect(abs(a - b) <= tolerance) }
      }
      context.gate(x.rows, y.rows, activation: .silu, into: many.rows)
      scalar.gate(x.rows, y.rows, activation: .silu, into: plain.rows)
      for (a, b) in zip(many.values, plain.values) { #expect(abs(a - b) <= 4e-7) }
    }
  }

  @Test func sumsScalesAndBiasesAreExact() {
    var generator = GoldenGenerator(seed: 9)
    let x = generator.buffer(3, 21), y = generator.buffer(3, 21), bias = generator.buffer(1, 21)
    let context = KernelContext(pool: WorkerPool(threads: 1))
    let expected = (0..<63).map { (y.values[$0] + x.values[$0]) * 0.5 + bias.values[$0 % 21] }
    context.add(x.rows, into: y.rows)
    context.scale(y.rows, by: 0.5)
    context.addBias(y.rows, bias: bias.rows.base)
    #expect(y.values == expected)
  }
}
