import Testing
import WeirKernels

struct RowsTests {
  @Test(arguments: [1, 15, 16, 17, 1024, 2048])
  func bufferRowsAreAlignedAndDisjoint(columns: Int) {
    let buffer = FloatBuffer(rows: 3, columns: columns)
    for row in 0..<3 {
      #expect(UInt(bitPattern: buffer.rows.row(row)) % 64 == 0)
      for column in 0..<columns {
        #expect(buffer.rows.row(row)[column] == 0)
        buffer.rows.row(row)[column] = Float(row)
      }
    }
    #expect(buffer.rows.row(0)[columns - 1] == 0 && buffer.rows.row(2)[0] == 2)
    #expect(buffer.rows.stride % 1024 != 0)
  }

  @Test func slicesShareMemory() {
    let buffer = FloatBuffer(rows: 4, columns: 10)
    let part = buffer.view(rows: 3).slice(1..<3).columns(2..<5)
    part.row(1)[0] = 7
    #expect(buffer.rows.row(2)[2] == 7)
    #expect(part.count == 2 && part.columns == 3)
  }
}
