// Attention mass per slot, as far as a policy's signals ask for it.

import WeirBasics

/// One number per slot and collected signal, `[lanes][signals][capacity]`; numbers beyond a lane's slots are 0.
struct LaneMasses: Sendable {
  /// In one fixed order, so that every run of a request collects alike.
  private let signals: [KVSignal]
  private let lanes: Int
  private var capacity = 0
  private var values: [Float] = []

  init(signals: Set<KVSignal>, lanes: Int) {
    self.signals = signals.filter { $0 != .keys }.sorted { "\($0)" < "\($1)" }
    self.lanes = lanes
  }

  var count: Int { values.count }
  var signalCount: Int { signals.count }

  /// The numbers of a lane, signal by signal.
  func rows(lane: Int, slots: Int) -> [[Float]] {
    signals.indices.map { signal in
      let start = (lane * signals.count + signal) * capacity
      return Array(values[start..<start + slots])
    }
  }

  /// Takes over the numbers of all lanes, as `rows` told them.
  mutating func restore(_ lanes: [[[Float]]], longest: Int) {
    reserve(longest)
    for (lane, rows) in lanes.enumerated() {
      for (signal, row) in rows.enumerated() {
        let start = (lane * signals.count + signal) * capacity
        for (slot, value) in row.enumerated() { values[start + slot] = value }
      }
    }
  }

  /// Rows before a question that the signals are made of; all of them if one goes back to the beginning.
  func rowsNeeded(before question: Int) -> Int { signals.map { window(of: $0) ?? question }.max() ?? 0 }

  /// Rows that a signal looks at; nil: all since the last question, or since a slot was written.
  private func window(of signal: KVSignal) -> Int? {
    switch signal {
    case .keys: 0
    case .lastRow: 1
    case .windowRows(let rows, _): rows
    case .columnSums, .accumulatedMass: nil
    }
  }

  func tallies(computed: Int, rows: Int, question: Int) -> [MassTally] {
    let tallies = signals.map { signal -> MassTally in
      let first = window(of: signal).map { max(0, question - $0 - computed) } ?? 0
      switch signal {
      case .windowRows(_, .maximum): return MassTally(firstRow: first, isMaximum: true)
      case .accumulatedMass(let decay): return MassTally(firstRow: first, decay: decay)
      default: return MassTally(firstRow: first)
      }
    }
    return tallies.contains { $0.firstRow < rows } ? tallies : []
  }

  mutating func reserve(_ slots: Int) {
    guard slots > capacity, !signals.isEmpty else { return }
    let larger = max(slots, 2 * capacity, 64)
    var grown = Array(repeating: Float(0), count: lanes * signals.count * larger)
    for row in 0..<lanes * signals.count {
      for slot in 0..<capacity { grown[row * larger + slot] = values[row * capacity + slot] }
    }
    values = grown
    capacity = larger
  }

  mutating func withMasses(firstLane: Int, _ body: (UnsafeMutablePointer<Float>, Int) -> Void) {
    let (start, stride) = (firstLane * signals.count * capacity, capacity)
    values.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      body(base + start, stride)
    }
  }

  /// Moves what accumulates with the slots and forgets the rest: a window begins anew after every question.
  mutating func keep(_ kept: [Int], lane: Int, of slots: Int) {
    for (index, signal) in signals.enumerated() {
      let start = (lane * signals.count + index) * capacity
      var filled = 0
      if case .accumulatedMass = signal {
        for slot in kept {
          values[start + filled] = values[start + slot]
          filled += 1
        }
      }
      for slot in filled..<max(filled, slots) { values[start + slot] = 0 }
    }
  }

  /// The collected signals of a lane.
  /// - Parameter rows: rows since the last question.
  func signals(lane: Int, slots: Int, rows: Int) -> [KVSignal: [Float]] {
    var result: [KVSignal: [Float]] = [:]
    for (index, signal) in signals.enumerated() {
      let start = (lane * signals.count + index) * capacity
      var numbers = Array(values[start..<start + slots])
      if case .windowRows(let window, .mean) = signal {
        let count = Float(max(1, min(window, rows)))
        for slot in numbers.indices { numbers[slot] /= count }
      }
      result[signal] = numbers
    }
    return result
  }
}
