import Testing
import WeirBasics
import WeirKernels

/// Stored formats are read exactly, before and after packing.
struct WeightMatrixTests {
  let context = KernelContext(instructionSet: .scalar, pool: WorkerPool(threads: 2))

  @Test func goldenValuesCoverEveryType() throws {
    #expect(try Set(GoldenQuants.load().map(\.type)) == Set(TensorType.allCases))
  }

  @Test func readsEveryTypeBitForBitAsGGUFDoes() throws {
    for golden in try GoldenQuants.load() {
      var values = [Float](repeating: .nan, count: golden.values.count)
      golden.bytes.withUnsafeBytes { bytes in
        values.withUnsafeMutableBufferPointer { WeightMatrix.dequantize(golden.type, bytes, into: $0) }
      }
      let wrong = values.indices.first { values[$0].bitPattern != golden.values[$0].bitPattern }
      #expect(wrong == nil, "\(golden.type.name) differs first at \(wrong ?? 0)")
    }
  }

  @Test(arguments: [1, 2])
  func packedRowsKeepEveryValueBitForBit(rowsPerMatrix: Int) throws {
    for golden in try GoldenQuants.load() {
      let columns = golden.values.count / rowsPerMatrix
      let copies = 17  // one full panel and one row
      let stored = (0..<copies).flatMap { _ in golden.bytes }
      let matrix = try stored.withUnsafeBytes {
        try WeightMatrix(
          rows: copies * rowsPerMatrix, columns: columns, type: golden.type, source: $0, owner: nil, context: context)
      }
      var row = [Float](repeating: .nan, count: columns)
      for index in 0..<matrix.rows {
        row.withUnsafeMutableBufferPointer { if let base = $0.baseAddress { matrix.dequantizeRow(index, into: base) } }
        let first = index % rowsPerMatrix * columns
        let wrong = row.indices.first { row[$0].bitPattern != golden.values[first + $0].bitPattern }
        #expect(wrong == nil, "\(golden.type.name) row \(index) differs first at \(wrong ?? 0)")
      }
    }
  }

  @Test func refusesShapesAndLengthsThatDoNotFit() {
    let bytes = [UInt8](repeating: 0, count: 36)
    func code(rows: Int, columns: Int) -> String? {
      bytes.withUnsafeBytes { source in
        let error = #expect(throws: KernelError.self) {
          try WeightMatrix(rows: rows, columns: columns, type: .q4_0, source: source, owner: nil, context: context)
        }
        return error?.code
      }
    }
    #expect(code(rows: 2, columns: 33) == "bad_weight_shape")
    #expect(code(rows: -1, columns: 32) == "bad_weight_shape")
    #expect(code(rows: 3, columns: 32) == "bad_weight_bytes")
  }
}
