// What the rows of a sequence choose by: its parts, their abstracts, the running query; and what they have read.

public import WeirBasics

/// The state of a policy's selection for one sequence. A value: a fork is a copy.
///
/// Nothing is built before a row has more slots to read than its budget; then every part of the text so far becomes known
/// at once, and later parts one by one as they end. A part ends where the prompt does.
public struct LaneReading: Sendable {
  public let selection: any Selection
  /// Most slots that a row reads of a lane.
  public let readSlots: Int
  /// Tokens of the prompt; the rows behind them choose.
  public let promptTokens: Int
  private let headDim: Int
  /// Query heads that share a KV head, and query vectors that are kept of them.
  private let groupHeads, groupQueries: Int
  /// Numbers of an abstract.
  public let abstractLength: Int
  let lanes: Int
  private let partGroup: Int
  private let fresh: any TokenBoundaries
  private var boundaries: any TokenBoundaries
  private var heard = 0
  /// Positions at which parts begin, and the end of the last.
  private var partStarts: [Int32] = [0]
  /// The same by abstract where `Selection.abstractTokens` cuts a part: its first abstract.
  public private(set) var firstAbstracts: [Int32] = [0]
  /// The same as slots of each lane; empty while lanes are whole, where slot and position are the same.
  private var laneStarts: [[Int32]] = []
  /// `[lanes][capacityParts]`, each part `abstractLength` numbers; how they lie is the kernels' matter.
  private var abstracts: [Float] = []
  private var capacityParts = 0
  /// Sum of the query rows since the running part began, `[lanes][groupQueries][headDim]`.
  private var querySums: [Float]
  private var queryRows = 0
  private var lastRuns: [[Range<Int>]]
  /// Rows that chose.
  public private(set) var rows = 0
  /// Answers for one lane and row; slots that they named, and those of them that the lane's row before had read as well.
  public private(set) var answers = 0
  public private(set) var slotsRead = 0
  public private(set) var slotsReread = 0
  /// Slots that were resident for them and that they left out.
  public private(set) var slotsSkipped = 0

  /// Nil if the selection reads everything.
  ///
  /// - Parameters:
  ///   - boundaries: those of the selection, told tokens.
  ///   - groupHeads: query heads that share a KV head.
  ///   - partGroup: abstracts are kept in multiples of it.
  public init?(
    selection: any Selection, boundaries: any TokenBoundaries, promptTokens: Int, lanes: Int, headDim: Int,
    groupHeads: Int, partGroup: Int
  ) {
    guard let readSlots = selection.readSlots else { return nil }
    self.selection = selection
    self.readSlots = readSlots
    self.promptTokens = promptTokens
    self.lanes = lanes
    self.headDim = headDim
    self.groupHeads = groupHeads
    groupQueries = selection.comparesHeads ? groupHeads : 1
    abstractLength = selection.abstract.length(headDim: headDim)
    self.partGroup = partGroup
    fresh = boundaries
    self.boundaries = boundaries
    querySums = Array(repeating: 0, count: lanes * groupQueries * headDim)
    lastRuns = Array(repeating: [], count: lanes)
  }

  func restarted() -> LaneReading? {
    LaneReading(
      selection: selection, boundaries: fresh, promptTokens: promptTokens, lanes: lanes, headDim: headDim,
      groupHeads: groupHeads, partGroup: partGroup)
  }

  public var parts: Int { partStarts.count - 1 }
  /// Bytes of abstracts, starts, queries and the runs read last.
  public var stateBytes: Int {
    let starts = partStarts.count + firstAbstracts.count + laneStarts.reduce(0) { $0 + $1.count }
    return (abstracts.count + querySums.count + starts) * 4 + lastRuns.reduce(0) { $0 + $1.count } * 16
  }

  /// First slot of each part of a lane, and the end of the last.
  public func starts(lane: Int) -> [Int32] { laneStarts.isEmpty ? partStarts : laneStarts[lane] }

  /// Reads the text up to the row that chooses next; a part that ended before it becomes known.
  ///
  /// - Parameters:
  ///   - tokens: of the sequence.
  ///   - position: of the row.
  ///   - positions: per lane those of its slots; empty while lanes are whole.
  /// - Returns: parts whose abstracts must be built.
  mutating func hear(_ tokens: [TokenID], through position: Int, positions: [[Int32]]) -> Range<Int> {
    let (before, whole) = (parts, firstAbstracts.count)
    while heard <= position {
      let begins = boundaries.begins(with: tokens[heard]) || heard == promptTokens
      let isFull = selection.abstractTokens.map { heard - Int(partStarts.last ?? 0) >= $0 } ?? false
      if begins || isFull, heard > 0 { partStarts.append(Int32(heard)) }
      if begins, heard > 0 { firstAbstracts.append(Int32(parts)) }
      heard += 1
    }
    if firstAbstracts.count > whole {
      for place in querySums.indices { querySums[place] = 0 }
      queryRows = 0
    }
    if !positions.isEmpty { placeStarts(positions) }
    reserve(parts)
    queryRows = selection.averagesQueries ? queryRows + 1 : 1
    rows += 1
    return before..<parts
  }

  /// Slots have moved: every part becomes known anew.
  mutating func forgetParts() {
    (heard, boundaries, partStarts, firstAbstracts, laneStarts, queryRows) = (0, fresh, [0], [0], [], 0)
    for place in querySums.indices { querySums[place] = 0 }
    for lane in lastRuns.indices { lastRuns[lane] = [] }
  }

  private mutating func placeStarts(_ positions: [[Int32]]) {
    if laneStarts.isEmpty { laneStarts = Array(repeating: [], count: lanes) }
    for lane in laneStarts.indices {
      for start in partStarts[laneStarts[lane].count...] {
        laneStarts[lane].append(Self.firstSlot(at: start, in: positions[lane]))
      }
    }
  }

  /// The first slot at `position` or behind it, by halving.
  private static func firstSlot(at position: Int32, in positions: [Int32]) -> Int32 {
    var (low, high) = (0, positions.count)
    while low < high {
      let middle = (low + high) / 2
      if positions[middle] < position { low = middle + 1 } else { high = middle }
    }
    return Int32(low)
  }

  private mutating func reserve(_ count: Int) {
    guard count > capacityParts else { return }
    let larger = (max(count, capacityParts * 5 / 4) + partGroup - 1) / partGroup * partGroup
    var grown = Array(repeating: Float(0), count: lanes * larger * abstractLength)
    for lane in 0..<lanes {
      let (from, to) = (lane * capacityParts * abstractLength, lane * larger * abstractLength)
      for place in 0..<capacityParts * abstractLength { grown[to + place] = abstracts[from + place] }
    }
    abstracts = grown
    capacityParts = larger
  }

  /// Lets `body` write abstracts: those of lane `n` begin at `n * stride`.
  public mutating func withAbstracts(_ body: (_ start: UnsafeMutablePointer<Float>, _ stride: Int) -> Void) {
    let stride = capacityParts * abstractLength
    abstracts.withUnsafeMutableBufferPointer { buffer in
      if let start = buffer.baseAddress { body(start, stride) }
    }
  }

  /// Lets `body` read those of one lane.
  public func withAbstracts<Result>(of lane: Int, _ body: (UnsafePointer<Float>) -> Result) -> Result? {
    abstracts.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { body($0 + lane * capacityParts * abstractLength) }
    }
  }

  /// Adds the query of the row that chooses, `[heads, headDim]` after RoPE, to the means of a layer.
  public mutating func add(query: UnsafePointer<Float>, layer: Int, kvHeads: Int) {
    let (group, kept) = (groupHeads * headDim, groupQueries * headDim)
    for head in 0..<kvHeads {
      let start = (layer * kvHeads + head) * kept
      if !selection.averagesQueries { for place in 0..<kept { querySums[start + place] = 0 } }
      for place in 0..<group { querySums[start + place % kept] += query[head * group + place] }
    }
  }

  /// The queries that parts of a lane are compared with, the nearest of which counts, as they are multiplied with
  /// abstracts: each `[abstractLength]`.
  public func queries(lane: Int) -> [[Float]] {
    let count = Float(max(1, queryRows * (groupHeads / groupQueries)))
    return (0..<groupQueries).map { query in
      let start = (lane * groupQueries + query) * headDim
      return selection.abstract.queryForm(querySums[start..<start + headDim].map { $0 / count })
    }
  }

  /// Counts what the row read of a lane.
  public mutating func note(_ runs: [Range<Int>], lane: Int) {
    answers += 1
    slotsSkipped += (runs.last?.upperBound ?? 0) - runs.reduce(0) { $0 + $1.count }
    var old = 0
    for run in runs {
      slotsRead += run.count
      while old < lastRuns[lane].count {
        slotsReread += run.clamped(to: lastRuns[lane][old]).count
        if lastRuns[lane][old].upperBound > run.upperBound { break }
        old += 1
      }
    }
    lastRuns[lane] = runs
  }
}

extension LaneTable {
  /// Whether the next row chooses among more slots than it may read.
  public var choosesKeys: Bool {
    guard let reading, computed >= reading.promptTokens else { return false }
    return longest + 1 > reading.readSlots
  }

  /// Reads the text up to the row that is computed next.
  ///
  /// - Parameter tokens: the sequence's.
  /// - Returns: parts whose abstracts must be built.
  public mutating func hear(_ tokens: [TokenID]) -> Range<Int> {
    let (position, placed) = (computed, positions)
    return withReading { $0.hear(tokens, through: position, positions: placed) } ?? 0..<0
  }

  /// What rows choose by; nil if they read everything.
  public var currentReading: LaneReading? { reading }

  public mutating func withReading<Result>(_ body: (inout LaneReading) -> Result) -> Result? {
    guard var taken = reading else { return nil }
    // Taken out meanwhile, so that what is written into it is not copied.
    reading = nil
    defer { reading = taken }
    return body(&taken)
  }
}
