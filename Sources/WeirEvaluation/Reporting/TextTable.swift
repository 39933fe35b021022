// Rows of cells as text whose columns stand under each other.

enum TextTable {
  /// Rows padded to their columns' widths, each ending in a newline.
  ///
  /// - Parameters:
  ///   - rows: as many cells each as the first has.
  ///   - leftColumns: columns from the first on that are aligned left; the others hold numbers.
  static func text(_ rows: [[String]], leftColumns: Int) -> String {
    guard let first = rows.first else { return "" }
    let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let fill = String(repeating: " ", count: widths[column] - cell.count)
        line += (column == 0 ? "" : "  ") + (column < leftColumns ? cell + fill : fill + cell)
      }
      while line.hasSuffix(" ") { line.removeLast() }
      return line + "\n"
    }.joined()
  }
}
