// A token that is still in the running.

struct Candidate {
  var token: UInt32
  /// Adjusted logit, already divided by the temperature.
  var logit: Float
  /// `exp(logit - best)`, not normalised.
  var weight: Float = 0

  /// Best first; the lowest id first among equals, so that cuts are the same everywhere.
  static func isBetter(_ a: Candidate, _ b: Candidate) -> Bool {
    a.logit > b.logit || (a.logit == b.logit && a.token < b.token)
  }

  /// Sorts best first and keeps `count`. Partitions first, so that only the part that stays is sorted.
  static func keepLargest(_ count: Int, _ list: inout [Candidate]) {
    if list.count > 4 * count { partition(count, &list) }
    list.sort(by: isBetter)
    if list.count > count { list.removeLast(list.count - count) }
  }

  /// Quickselect with the middle of three as pivot; afterwards the first `count` are the best, in any order.
  private static func partition(_ count: Int, _ list: inout [Candidate]) {
    var low = 0
    var high = list.count - 1
    while low < high {
      let middle = list[(low + high) / 2]
      let ends = isBetter(list[low], list[high]) ? (list[low], list[high]) : (list[high], list[low])
      let pivot = isBetter(middle, ends.0) ? ends.0 : isBetter(ends.1, middle) ? ends.1 : middle
      var i = low
      var j = high
      while i <= j {
        while isBetter(list[i], pivot) { i += 1 }
        while isBetter(pivot, list[j]) { j -= 1 }
        if i <= j {
          list.swapAt(i, j)
          i += 1
          j -= 1
        }
      }
      if count - 1 <= j { high = j } else if count - 1 >= i { low = i } else { break }
    }
    list.removeLast(list.count - count)
  }
}
