import Testing
import WeirBasics
import WeirKernels

/// Products agree with exact arithmetic, with the scalar specification and with themselves in any batch.
struct MultiplyTests {
  static let pool = WorkerPool(threads: 2)
  static let awkwardTokens = [0, 1, 2, 5, 7, 16, 33, 81]
  /// Rows that fill panels, leave one row over, or leave half a pair of panels; columns of one block, an odd number of
  /// blocks and several.
  static let shapes: [(rows: Int, blocks: Int)] = [(1, 1), (16, 3), (37, 2), (80, 5)]

  static func columns(_ type: TensorType, blocks: Int) -> Int {
    type.blockElements == 1 ? blocks * 32 - 5 : blocks * type.blockElements
  }

  @Test(arguments: TensorType.allCases)
  func everySetAgreesWithExactArithmeticAndTheSpecification(type: TensorType) throws {
    for (rows, blocks) in Self.shapes {
      let sample = StoredSample(type: type, rows: rows, columns: Self.columns(type, blocks: blocks), seed: 11)
      let matrix = try sample.matrix(KernelContext(pool: Self.pool))
      let x = StoredSample.activations(rows: 81, columns: sample.columns, seed: 3)
      let expected = ExpectedProduct(sample, x.rows)
      var specification: [Float] = []
      for set in InstructionSet.available {
        let context = KernelContext(instructionSet: set, pool: Self.pool)
        for tokens in Self.awkwardTokens {
          let y = FloatBuffer(rows: tokens, columns: rows)
          context.multiply(matrix, x.view(rows: tokens), into: y.rows)
          let got = y.rows.elements
          if set == .scalar, tokens == 81 { specification = got }
          let place = "\(set.rawValue) \(rows)x\(sample.columns), \(tokens) tokens"
          let worst = expected.worst(of: got)
          #expect(worst.ofBound <= 1, "\(place), against exact: \(worst)")
          if set != .scalar, tokens == 81 {
            let apart = expected.worst(of: got, from: specification)
            #expect(apart.ofBound <= 1, "\(place), against scalar: \(apart)")
          }
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available, TensorType.allCases)
  func aRowDoesNotDependOnItsBatchOrTheThreads(set: InstructionSet, type: TensorType) throws {
    let context = KernelContext(instructionSet: set, pool: Self.pool)
    let alone = KernelContext(instructionSet: set, pool: WorkerPool(threads: 1))
    let sample = StoredSample(type: type, rows: 53, columns: Self.columns(type, blocks: 3), seed: 2)
    let matrix = try sample.matrix(context)
    let x = StoredSample.activations(rows: 90, columns: sample.columns, seed: 21)
    let all = FloatBuffer(rows: 90, columns: 53)
    context.multiply(matrix, x.rows, into: all.rows)
    for size in [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 31, 74] {
      for first in stride(from: 0, through: 90 - size, by: max(size, 9)) {
        let part = FloatBuffer(rows: size, columns: 53)
        (size % 2 == 0 ? alone : context).multiply(matrix, x.rows.slice(first..<first + size), into: part.rows)
        let want = all.rows.slice(first..<first + size).elements.map(\.bitPattern)
        #expect(part.rows.elements.map(\.bitPattern) == want, "batch of \(size) from token \(first)")
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func severalWeightsInOneCallGiveWhatEachGivesAlone(set: InstructionSet) throws {
    let context = KernelContext(instructionSet: set, pool: Self.pool)
    let types: [TensorType] = [.q4_K, .f32, .q6_K, .q8_0, .f16]
    let matrices = try types.enumerated().map { index, type in
      try StoredSample(type: type, rows: 20 + 7 * index, columns: 512, seed: 4).matrix(context)
    }
    for tokens in [1, 19, 100] {
      let x = StoredSample.activations(rows: tokens, columns: 512, seed: 6)
      let together = matrices.map { FloatBuffer(rows: tokens, columns: $0.rows) }
      context.multiply(matrices, x.rows, into: together.map(\.rows))
      for (matrix, result) in zip(matrices, together) {
        let single = FloatBuffer(rows: tokens, columns: matrix.rows)
        context.multiply(matrix, x.rows, into: single.rows)
        #expect(single.rows.elements == result.rows.elements)
      }
    }
  }

  @Test(arguments: InstructionSet.available, [TensorType.q4_0, .f16])
  func accumulatesAndLeavesOtherMemoryAlone(set: InstructionSet, type: TensorType) throws {
    let context = KernelContext(instructionSet: set, pool: Self.pool)
    let matrix = try StoredSample(type: type, rows: 37, columns: 64, seed: 9).matrix(context)
    for tokens in [1, 9] {
      let x = StoredSample.activations(rows: tokens, columns: 64, seed: 1)
      let plain = FloatBuffer(rows: tokens, columns: 37)
      context.multiply(matrix, x.rows, into: plain.rows)
      let wide = FloatBuffer(rows: tokens, columns: 60)
      for token in 0..<tokens { for column in 0..<60 { wide.rows.row(token)[column] = 3 } }
      context.multiply(matrix, x.rows, into: wide.rows.columns(10..<47), accumulate: true)
      for token in 0..<tokens {
        let row = wide.rows.slice(token..<token + 1).elements
        let want = (0..<60).map { (10..<47).contains($0) ? 3 + plain.rows.row(token)[$0 - 10] : 3 }
        #expect(row == want, "token \(token)")
      }
    }
  }

  @Test func productsInsideTasksOfThePoolGiveTheSame() throws {
    let context = KernelContext(pool: Self.pool)
    let matrix = try StoredSample(type: .q8_0, rows: 40, columns: 96, seed: 10).matrix(context)
    let x = StoredSample.activations(rows: 8, columns: 96, seed: 2)
    let want = FloatBuffer(rows: 8, columns: 40)
    let got = FloatBuffer(rows: 8, columns: 40)
    context.multiply(matrix, x.rows, into: want.rows)
    context.pool.parallel(tasks: 8) { task, _ in
      context.multiply(matrix, x.rows.slice(task..<task + 1), into: got.rows.slice(task..<task + 1))
    }
    #expect(got.rows.elements == want.rows.elements)
  }

  @Test func probeMeasuresSomething() throws {
    #expect(KernelProbe.readBandwidth(bytes: 64 << 20, pool: Self.pool) > 0)
    let rate = try KernelProbe.productRate(
      type: .q4_0, rows: 64, columns: 64, tokens: 8, context: KernelContext(pool: Self.pool))
    #expect(rate.gigaoperationsPerSecond > 0 && rate.gigabytesPerSecond > 0)
    #expect(throws: KernelError.self) {
      try KernelProbe.productRate(
        type: .q4_0, rows: 64, columns: 33, tokens: 8, context: KernelContext(pool: Self.pool))
    }
  }
}
