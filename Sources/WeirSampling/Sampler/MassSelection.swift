// The best items until their mass is reached, without sorting the rest.

enum MassSelection {
  /// Below this a sort is as fast as a partition.
  private static let sortLimit = 1_024

  /// Keeps the shortest prefix of `list` in the order of `isBetter` whose weights sum to at least `wanted`; everything if
  /// they never do. What is kept is in no meaningful order. Linear on average.
  ///
  /// Quickselect by mass: after a partition, the mass of the better side says on which side the cut lies.
  @inline(__always)
  static func keep<Item>(
    _ wanted: Double, of list: inout [Item], weight: (Item) -> Float, isBetter: (Item, Item) -> Bool
  ) {
    var low = 0
    var high = list.count
    var before = 0.0
    while high - low > sortLimit {
      let cut = partition(&list, low, high, isBetter)
      var mass = 0.0
      for i in low..<cut { mass += Double(weight(list[i])) }
      if before + mass >= wanted {
        high = cut
      } else {
        before += mass
        low = cut
      }
    }
    list[low..<high].sort(by: isBetter)
    for i in low..<high {
      before += Double(weight(list[i]))
      if before >= wanted {
        list.removeLast(list.count - 1 - i)
        return
      }
    }
    list.removeLast(list.count - high)
  }

  /// Moves better items to the front; the cut is strictly between `low` and `high`.
  @inline(__always)
  private static func partition<Item>(
    _ list: inout [Item], _ low: Int, _ high: Int, _ isBetter: (Item, Item) -> Bool
  ) -> Int {
    let middle = list[(low + high) / 2]
    let (first, last) = (list[low], list[high - 1])
    let (best, worst) = isBetter(first, last) ? (first, last) : (last, first)
    let pivot = isBetter(middle, best) ? best : isBetter(worst, middle) ? worst : middle
    var i = low
    var j = high - 1
    while true {
      while isBetter(list[i], pivot) { i += 1 }
      while isBetter(pivot, list[j]) { j -= 1 }
      if i >= j { return min(max(j + 1, low + 1), high - 1) }
      list.swapAt(i, j)
      i += 1
      j -= 1
    }
  }
}
