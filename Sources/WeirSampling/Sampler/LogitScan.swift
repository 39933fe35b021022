// The passes over a whole row of logits: block maxima, sums of exponentials, gathering above a threshold, ranks.
//
// Eight explicit lanes: strict floating point forbids the compiler to reorder a sum, so the lanes are written down. The
// result does not depend on the machine's vector width.

/// Lanes of one pass.
typealias Lanes = SIMD8<Float>

/// A row of logits with the maxima of its blocks of 64. The maxima make every later question cheap: where the best
/// token is, a lower bound of the k-th best, which blocks can hold anything above a threshold.
struct LogitScan {
  static let blockSize = 64
  /// Contributions below `exp(-floorNats)` of the best are left out of sums: 2^18 of them are below 1e-12.
  static let floorNats: Float = 40

  /// Largest logit of each block; -inf for blocks without a number. NaN counts as -inf.
  var maxima: [Float] = []
  private(set) var maximum = -Float.infinity

  /// Fills the block maxima. One pass.
  mutating func scan(_ logits: UnsafeBufferPointer<Float>) {
    let blocks = (logits.count + Self.blockSize - 1) / Self.blockSize
    if maxima.count != blocks { maxima = [Float](repeating: 0, count: blocks) }
    var best = -Float.infinity
    maxima.withUnsafeMutableBufferPointer { out in
      for block in 0..<blocks {
        let start = block * Self.blockSize
        let count = min(Self.blockSize, logits.count - start)
        let value = Self.maximum(UnsafeBufferPointer(rebasing: logits[start..<start + count]))
        out[block] = value
        if value > best { best = value }
      }
    }
    maximum = best
  }

  private static func maximum(_ block: UnsafeBufferPointer<Float>) -> Float {
    var best = -Float.infinity
    if block.count == blockSize, let base = block.baseAddress {
      let raw = UnsafeRawPointer(base)
      var a = Lanes(repeating: -.infinity)
      var b = a
      for i in 0..<4 {
        let x = raw.loadUnaligned(fromByteOffset: i * 64, as: Lanes.self)
        let y = raw.loadUnaligned(fromByteOffset: i * 64 + 32, as: Lanes.self)
        a.replace(with: x, where: x .> a)
        b.replace(with: y, where: y .> b)
      }
      a.replace(with: b, where: b .> a)
      for lane in 0..<8 where a[lane] > best { best = a[lane] }
      return best
    }
    for value in block where value > best { best = value }
    return best
  }

  /// Lowest index of the largest logit; nil if there is no number above -inf.
  func argmax(_ logits: UnsafeBufferPointer<Float>) -> Int? {
    guard maximum > -.infinity, let block = maxima.firstIndex(of: maximum) else { return nil }
    let start = block * Self.blockSize
    return (start..<min(start + Self.blockSize, logits.count)).first { logits[$0] == maximum }
  }

  /// Sum of `exp((x - maximum) * inverseTemperature)` over the row; at least 1 if there is a maximum. One pass.
  /// Sums per block go to `blockSums` if it is not nil.
  func sumOfExponentials(
    _ logits: UnsafeBufferPointer<Float>, inverseTemperature: Float, blockSums: inout [Double]
  ) -> Double {
    var total = 0.0
    blockSums.removeAll(keepingCapacity: true)
    let floor = maximum - Self.floorNats / inverseTemperature
    for block in maxima.indices {
      if maxima[block] >= floor {
        let start = block * Self.blockSize
        let count = min(Self.blockSize, logits.count - start)
        total += Double(
          Self.sumOfExponentials(
            UnsafeBufferPointer(rebasing: logits[start..<start + count]), maximum, inverseTemperature))
      }
      blockSums.append(total)
    }
    return total
  }

  private static func sumOfExponentials(
    _ block: UnsafeBufferPointer<Float>, _ maximum: Float, _ inverseTemperature: Float
  ) -> Float {
    var sum: Float = 0
    if block.count == blockSize, let base = block.baseAddress {
      let raw = UnsafeRawPointer(base)
      var lanes = Lanes(repeating: 0)
      let shift = Lanes(repeating: maximum)
      for i in 0..<8 {
        let x = raw.loadUnaligned(fromByteOffset: i * 32, as: Lanes.self)
        lanes += exponential((x - shift) * inverseTemperature)
      }
      for lane in 0..<8 { sum += lanes[lane] }
      return sum
    }
    for value in block { sum += exponential((value - maximum) * inverseTemperature) }
    return sum
  }

  /// Calls `body` with every index whose logit is at least `threshold`, lowest first; blocks below it are skipped.
  func forEach(
    in logits: UnsafeBufferPointer<Float>, atLeast threshold: Float, _ body: (Int, Float) -> Void
  ) {
    for block in maxima.indices where maxima[block] >= threshold {
      let start = block * Self.blockSize
      for i in start..<min(start + Self.blockSize, logits.count) {
        let value = logits[i]
        if value >= threshold { body(i, value) }
      }
    }
  }

  /// Number of logits greater than `value`.
  func count(in logits: UnsafeBufferPointer<Float>, above value: Float) -> Int {
    var result = 0
    for block in maxima.indices where maxima[block] > value {
      let start = block * Self.blockSize
      for i in start..<min(start + Self.blockSize, logits.count) where logits[i] > value { result += 1 }
    }
    return result
  }

  /// A value that at least `k` logits reach: the k-th largest block maximum. -inf if there are fewer blocks.
  func lowerBoundOfLargest(_ k: Int) -> Float {
    guard k <= maxima.count, k > 0 else { return -.infinity }
    var heap = BoundedMinimum(limit: k)
    for value in maxima { heap.insert(value) }
    return heap.minimum
  }
}

/// The `limit` largest of the values inserted, as a binary heap with the least on top.
struct BoundedMinimum {
  private var heap: [Float] = []
  private let limit: Int

  init(limit: Int) {
    self.limit = limit
    heap.reserveCapacity(limit)
  }

  var minimum: Float { heap.first ?? -.infinity }

  mutating func insert(_ value: Float) {
    if heap.count < limit {
      heap.append(value)
      var i = heap.count - 1
      while i > 0, heap[(i - 1) / 2] > heap[i] {
        heap.swapAt(i, (i - 1) / 2)
        i = (i - 1) / 2
      }
    } else if value > heap[0] {
      heap[0] = value
      var i = 0
      while true {
        var least = i
        for child in [2 * i + 1, 2 * i + 2] where child < heap.count && heap[child] < heap[least] { least = child }
        if least == i { return }
        heap.swapAt(i, least)
        i = least
      }
    }
  }
}
