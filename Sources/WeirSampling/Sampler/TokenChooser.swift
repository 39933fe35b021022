// From the adjusted row to a token: temperature, filters, draw.
//
// The row is never sorted whole. Filters that keep a prefix of the sorted order (top-n-sigma, top-k, top-p, min-p) only
// need the tokens above a threshold, and the threshold is made lower until the wanted mass is certainly above it.

import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Draws from one adjusted row; keeps the candidates' memory between tokens.
struct TokenChooser: Sendable {
  let parameters: SamplingParameters
  var candidates: [Candidate] = []
  private var sums: [Double] = []

  init(parameters: SamplingParameters) { self.parameters = parameters }

  /// The chosen index, or nil if no logit is above -inf.
  mutating func choose(_ row: UnsafeBufferPointer<Float>, _ scan: LogitScan, seed: UInt64, stream: UInt64) -> Int? {
    guard scan.maximum > -.infinity else { return nil }
    if parameters.isGreedy || scan.maximum == .infinity { return scan.argmax(row) }
    var generator = SeededGenerator(seed: seed, stream: stream)
    let inverseTemperature = min(1 / parameters.temperature, .greatestFiniteMagnitude)
    if !parameters.filters {
      return drawFromWholeRow(row, scan, inverseTemperature, generator.unitDouble())
    }
    let mass = gather(row, scan, inverseTemperature)
    filter(mass, &generator)
    return draw(generator.unitDouble())
  }

  /// What `choose` draws from, best first.
  mutating func distribution(
    _ row: UnsafeBufferPointer<Float>, _ scan: LogitScan, seed: UInt64, stream: UInt64
  ) -> [(token: TokenID, probability: Double)] {
    guard scan.maximum > -.infinity else { return [] }
    if parameters.isGreedy || scan.maximum == .infinity {
      return scan.argmax(row).map { [(token: TokenID($0), probability: 1)] } ?? []
    }
    var generator = SeededGenerator(seed: seed, stream: stream)
    let inverseTemperature = min(1 / parameters.temperature, .greatestFiniteMagnitude)
    if parameters.filters {
      let mass = gather(row, scan, inverseTemperature)
      filter(mass, &generator)
    } else {
      collect(row, scan, inverseTemperature, -.greatestFiniteMagnitude)
    }
    var total = 0.0
    for candidate in candidates { total += Double(candidate.weight) }
    return candidates.sorted(by: Candidate.isBetter).map { (TokenID($0.token), Double($0.weight) / total) }
  }

  /// Walks the running sums of blocks to the block the draw falls into, then the block.
  private mutating func drawFromWholeRow(
    _ row: UnsafeBufferPointer<Float>, _ scan: LogitScan, _ inverseTemperature: Float, _ unit: Double
  ) -> Int? {
    let total = scan.sumOfExponentials(row, inverseTemperature: inverseTemperature, blockSums: &sums)
    let target = unit * total
    var low = 0
    var high = sums.count - 1
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > target { high = middle } else { low = middle + 1 }
    }
    var running = low == 0 ? 0 : sums[low - 1]
    var last: Int?
    let start = low * LogitScan.blockSize
    for i in start..<min(start + LogitScan.blockSize, row.count) where row[i] > -.infinity {
      running += Double(exponential((row[i] - scan.maximum) * inverseTemperature))
      last = i
      if running > target { return i }
    }
    // Rounding may leave the target just past the block's end: its last token is the one.
    return last ?? scan.argmax(row)
  }

  private func draw(_ unit: Double) -> Int? {
    var total = 0.0
    for candidate in candidates { total += Double(candidate.weight) }
    let target = unit * total
    var running = 0.0
    for candidate in candidates {
      running += Double(candidate.weight)
      if running > target { return Int(candidate.token) }
    }
    return candidates.last.map { Int($0.token) }
  }
}

// MARK: - Gathering

extension SamplingParameters {
  /// Whether anything beyond the temperature shapes the distribution.
  var filters: Bool {
    topK > 0 || topP < 1 || minP > 0 || typicalP < 1 || topNSigma > 0 || (xtc.map { $0.probability > 0 } ?? false)
  }

  /// Whether the filters up to min-p keep a prefix of the tokens sorted by probability. XTC comes after them.
  var keepsPrefix: Bool { typicalP >= 1 }
}

extension TokenChooser {
  /// Fills `candidates` with at least every token the filters can keep, and returns the mass that top-p is a fraction
  /// of: the whole row's, or nil if it is that of the candidates themselves.
  private mutating func gather(
    _ row: UnsafeBufferPointer<Float>, _ scan: LogitScan, _ inverseTemperature: Float
  ) -> Double? {
    var threshold = -Float.greatestFiniteMagnitude
    if parameters.topNSigma > 0 { threshold = scan.maximum - parameters.topNSigma * Self.deviation(row) }
    if parameters.topK > 0, parameters.topK < row.count {
      collect(row, scan, inverseTemperature, max(threshold, scan.lowerBoundOfLargest(parameters.topK)))
      Candidate.keepLargest(parameters.topK, &candidates)
      return nil
    }
    if parameters.topNSigma > 0 || !parameters.keepsPrefix || (parameters.topP >= 1 && parameters.minP == 0) {
      collect(row, scan, inverseTemperature, threshold)
      return nil
    }
    return gatherMass(row, scan, inverseTemperature)
  }

  /// For top-p and min-p alone: collects the best tokens until they hold the wanted mass for certain.
  private mutating func gatherMass(
    _ row: UnsafeBufferPointer<Float>, _ scan: LogitScan, _ inverseTemperature: Float
  ) -> Double? {
    // Half a nat of slack: the exact comparison is made on the collected tokens.
    let ratioNats = parameters.minP > 0 ? -log(parameters.minP) + 0.5 : Float.infinity
    guard parameters.topP < 1 else {
      collect(row, scan, inverseTemperature, scan.maximum - ratioNats / inverseTemperature)
      return nil
    }
    let total = scan.sumOfExponentials(row, inverseTemperature: inverseTemperature, blockSums: &sums)
    let wanted = min(Double(parameters.topP) + 1e-6, 1) * total
    var nats: Float = 4
    while true {
      let threshold = max(scan.maximum - min(nats, ratioNats) / inverseTemperature, -.greatestFiniteMagnitude)
      collect(row, scan, inverseTemperature, threshold)
      var mass = 0.0
      for candidate in candidates { mass += Double(candidate.weight) }
      if mass >= wanted || nats > LogitScan.floorNats || nats >= ratioNats { return total }
      nats *= 2
    }
  }

  private mutating func collect(
    _ row: UnsafeBufferPointer<Float>, _ scan: LogitScan, _ inverseTemperature: Float, _ threshold: Float
  ) {
    candidates.removeAll(keepingCapacity: true)
    scan.forEach(in: row, atLeast: max(threshold, -.greatestFiniteMagnitude)) { index, value in
      let shifted = (value - scan.maximum) * inverseTemperature
      candidates.append(Candidate(token: UInt32(index), logit: shifted, weight: exponential(shifted)))
    }
  }

  /// Standard deviation of the logits that are not -inf.
  private static func deviation(_ row: UnsafeBufferPointer<Float>) -> Float {
    var sum = 0.0
    var count = 0.0
    for value in row where value > -.infinity {
      sum += Double(value)
      count += 1
    }
    let mean = sum / max(count, 1)
    var squares = 0.0
    for value in row where value > -.infinity { squares += (Double(value) - mean) * (Double(value) - mean) }
    return Float((squares / max(count, 1)).squareRoot())
  }
}
