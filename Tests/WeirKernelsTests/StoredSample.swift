import WeirBasics
import WeirKernels

// Random matrices in stored form and random activations for the tests of this room.

/// A random stored matrix and its exact values.
struct StoredSample {
  let type: TensorType
  let rows: Int
  let columns: Int
  let bytes: [UInt8]
  let values: [Float]

  init(type: TensorType, rows: Int, columns: Int, seed: UInt64) {
    self.type = type
    self.rows = rows
    self.columns = columns
    var generator = SeededGenerator(seed: seed, stream: 0)
    var stored: [UInt8] = []
    for _ in 0..<(rows * columns / type.blockElements) { stored += StoredSample.block(type, &generator) }
    bytes = stored
    var exact = [Float](repeating: 0, count: rows * columns)
    stored.withUnsafeBytes { source in
      exact.withUnsafeMutableBufferPointer { WeightMatrix.dequantize(type, source, into: $0) }
    }
    values = exact
  }

  func matrix(_ context: KernelContext) throws -> WeightMatrix {
    try bytes.withUnsafeBytes {
      try WeightMatrix(rows: rows, columns: columns, type: type, source: $0, owner: nil, context: context)
    }
  }

  static func activations(rows: Int, columns: Int, seed: UInt64) -> FloatBuffer {
    var generator = SeededGenerator(seed: seed, stream: 1)
    let buffer = FloatBuffer(rows: rows, columns: columns)
    for row in 0..<rows {
      for column in 0..<columns {
        // A wide range inside a row: blocks get different scales, some blocks are zero.
        let size: Float = column / 32 % 5 == 3 ? 0 : Float(1 + column % 7)
        buffer.rows.row(row)[column] = (Float(generator.next() % 20001) / 10000 - 1) * size
      }
    }
    return buffer
  }

  /// Any bytes but for the halves, which are kept finite and of either sign.
  private static func block(_ type: TensorType, _ generator: inout SeededGenerator) -> [UInt8] {
    var block = (0..<type.blockBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    let halves: [Int] =
      switch type {
      case .f32, .f16, .bf16: [0]
      case .q4_0, .q5_0, .q8_0: [0]
      case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
      case .q2_K: [80, 82]
      case .q3_K: [108]
      case .q6_K: [208]
      }
    let value = Float(generator.next() % 20001) / 10000 - 1
    if type == .f32 {
      withUnsafeBytes(of: value) { block = Array($0) }
    } else if type == .bf16 {
      withUnsafeBytes(of: value) { block = Array($0[2...]) }
    } else {
      // Sign, an exponent of 8 to 15 and any fraction: magnitudes from 0.008 to 2.
      for at in halves { block[at + 1] = block[at + 1] & 0x83 | (8 + block[at + 1] >> 2 & 7) << 2 }
    }
    return block
  }
}

extension Rows {
  /// The elements, row after row.
  var elements: [Float] {
    (0..<count).flatMap { Array(UnsafeBufferPointer(start: row($0), count: columns)) }
  }
}

/// A product in exact arithmetic, with what an element may differ from it by, from the formats alone.
///
/// Summing c terms in f32 in any order costs at most c * 2^-24 of the sum of magnitudes. Quantised types sum integers
/// exactly and have four float operations per 32 or 16 columns; types with a minimum subtract two sums whose terms are
/// up to twice 31 times the value's own size, hence the factor of 64. For quantised weights every activation is rounded by
/// at most half a step, 1/254 of the largest of its 32 columns.
struct ExpectedProduct {
  let rows: Int
  let exact: [Double]
  /// Bound on f32 rounding alone: what two instruction sets may differ by.
  let summing: [Double]
  /// Bound on the rounding of activations.
  let rounding: [Double]

  init(_ sample: StoredSample, _ x: Rows) {
    let isQuantised = sample.type.blockElements > 1
    let epsilon = 0x1p-24 * (isQuantised ? 64 * Double(sample.columns / 8 + 4) : Double(sample.columns + 4))
    let columns = sample.columns
    var exact: [Double] = []
    var summing: [Double] = []
    var rounding: [Double] = []
    for token in 0..<x.count {
      let activations = UnsafeBufferPointer(start: x.row(token), count: columns).map(Double.init)
      let halfSteps = (0..<(columns + 31) / 32).map { block in
        activations[block * 32..<min(block * 32 + 32, columns)].reduce(0) { max($0, abs($1)) } / 254
      }
      for row in 0..<sample.rows {
        var sum = 0.0
        var magnitudes = 0.0
        var rounded = 0.0
        for column in 0..<columns {
          let weight = Double(sample.values[row * columns + column])
          let term = weight * activations[column]
          sum += term
          magnitudes += abs(term)
          if isQuantised { rounded += abs(weight) * halfSteps[column / 32] }
        }
        exact.append(sum)
        summing.append(magnitudes * epsilon + 1e-30)
        rounding.append(rounded * 1.001)
      }
    }
    rows = sample.rows
    self.exact = exact
    self.summing = summing
    self.rounding = rounding
  }

  /// The element that uses most of its bound, with its place.
  struct Worst: CustomStringConvertible {
    var ofBound = 0.0, token = 0, row = 0, got: Float = 0, want = 0.0
    var description: String { "token \(token) row \(row) is \(got), expected \(want): \(ofBound) of the bound" }
  }

  /// Compares the first tokens' elements with the exact product, or with another instruction set's result.
  func worst(of got: [Float], from other: [Float]? = nil) -> Worst {
    var worst = Worst()
    for index in got.indices {
      let want = other.map { Double($0[index]) } ?? exact[index]
      let bound = summing[index] + (other == nil ? rounding[index] : 0)
      let ofBound = abs(Double(got[index]) - want) / bound
      if ofBound.isNaN || ofBound > worst.ofBound {
        worst = Worst(ofBound: ofBound, token: index / rows, row: index % rows, got: got[index], want: want)
        if ofBound.isNaN { return worst }
      }
    }
    return worst
  }
}
