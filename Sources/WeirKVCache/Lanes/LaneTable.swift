// What a sequence under a KV policy holds: the slots of each lane, their positions and their attention mass.

public import WeirBasics

/// The lanes of one sequence, layer by layer, KV head by KV head.
///
/// Until the first question the lanes are whole: slot and position are the same, and the sequence is an ordinary one.
/// From then on each lane has its own slots, packed at the front of the sequence's blocks: slot `i` of a lane lies in
/// slot `i % blockSlots` of block `i / blockSlots`, and the block table is as long as the longest lane needs.
///
/// A value: a fork is a copy. Positions ascend in every lane.
public struct LaneTable: Sendable {
  public let policy: KVPolicy
  public let layers: Int
  public let kvHeads: Int
  let schedule: RetentionSchedule
  private let budgets: [Int?]
  /// Slots of each lane, `[layers][kvHeads]`.
  public private(set) var counts: [Int32]
  /// Positions of each lane's slots; empty while the lanes are whole.
  public private(set) var positions: [[Int32]] = []
  /// Tokens computed, kept or not.
  public private(set) var computed = 0
  public private(set) var longest = 0
  public private(set) var shortest = 0
  /// The token count at which the policy is asked next; nil: never.
  public private(set) var nextQuestion: Int?
  /// Tokens computed when the last question was answered.
  private(set) var answeredAt = 0
  /// Questions answered, and slots dropped, all lanes together.
  public private(set) var questions = 0
  public private(set) var droppedSlots = 0
  /// Tokens computed after the prompt, and the slots that were resident for them, summed over tokens and lanes.
  public private(set) var decodeTokens = 0
  public private(set) var decodeSlots = 0
  var masses: LaneMasses
  /// What its rows choose by; nil: they read everything.
  var reading: LaneReading?

  /// Nil if the policy can never be asked: then the sequence is an ordinary one.
  ///
  /// - Parameters:
  ///   - promptTokens: tokens of the prompt as far as `policy.retention` is concerned.
  ///   - reading: for a policy that selects.
  /// - Precondition: a policy that numbers slots anew selects nothing.
  public init?(policy: KVPolicy, layers: Int, kvHeads: Int, promptTokens: Int, reading: LaneReading? = nil) {
    precondition(reading == nil || policy.numbering == .text, "abstracts of keys do not turn with the keys")
    self.policy = policy
    self.reading = reading
    self.layers = layers
    self.kvHeads = kvHeads
    schedule = RetentionSchedule(cadence: policy.cadence, promptTokens: promptTokens)
    budgets = (0..<layers * kvHeads).map {
      policy.budget.budgetSlots(layer: $0 / kvHeads, kvHead: $0 % kvHeads).map { max(0, $0) }
    }
    counts = Array(repeating: 0, count: layers * kvHeads)
    masses = LaneMasses(signals: policy.signals, lanes: layers * kvHeads)
    nextQuestion = schedule.nextQuestion(after: 0, excess: excess)
    if nextQuestion == nil && reading == nil { return nil }
  }

  /// The same sequence before its first token.
  public func restarted() -> LaneTable? {
    LaneTable(
      policy: policy, layers: layers, kvHeads: kvHeads, promptTokens: schedule.promptTokens,
      reading: reading?.restarted())
  }

  /// Whether a question has been answered, so that lanes are no longer whole.
  public var isCompacted: Bool { !positions.isEmpty }
  /// Whether the policy must be asked before another token is computed.
  public var isQuestionDue: Bool { nextQuestion.map { computed >= $0 } ?? false }
  /// What the next row is rotated by, and where it stands for sliding windows; the rows behind it follow.
  public var nextPosition: Int { policy.numbering == .slots ? longest : computed }
  /// What the question that is due is called.
  public var dueMoment: RetentionMoment { schedule.moment(at: computed) }
  /// Tokens that may be computed in one step: before the policy must be asked, and one by one where each chooses what it
  /// reads.
  public var rowsUntilQuestion: Int {
    let chosen = reading.map { computed < $0.promptTokens ? $0.promptTokens - computed : 1 } ?? .max
    return min(chosen, nextQuestion.map { max(0, $0 - computed) } ?? .max)
  }
  /// Slots over all lanes.
  public var totalSlots: Int { counts.reduce(0) { $0 + Int($1) } }
  /// Bytes of positions and masses, and of what rows choose by.
  public var stateBytes: Int {
    (positions.reduce(0) { $0 + $1.count } + masses.count) * 4 + (reading?.stateBytes ?? 0)
  }

  /// Most slots that any lane ever holds while `tokens` tokens are computed, the running chunk included.
  public func peakSlots(tokens: Int) -> Int {
    budgets.reduce(0) { max($0, schedule.peakSlots(budget: $1, tokens: tokens)) }
  }

  /// Leading tokens of the sequence that may come from the prefix tree: before the first question, and without the rows
  /// whose attention the policy wants to know.
  public var cacheableTokens: Int {
    let emptyExcess = budgets.compactMap { $0 }.min().map { -$0 }
    // Rows that chose what they read are computed again, or they would be other rows.
    let chosen = reading?.promptTokens ?? .max
    guard let first = schedule.nextQuestion(after: 0, excess: emptyExcess) else { return chosen }
    // A step computes at least one row before a question.
    return min(chosen, max(0, first - max(1, masses.rowsNeeded(before: first))))
  }

  /// Takes over `tokens` leading tokens from the prefix tree.
  /// - Precondition: nothing has been computed yet, and they are cacheable.
  public mutating func begin(cachedTokens tokens: Int) {
    precondition(computed == 0 && tokens <= cacheableTokens, "\(tokens) tokens are not cacheable for this policy")
    if tokens > 0 { advance(rows: tokens) }
  }

  /// Makes room for the masses of `rows` more slots per lane.
  public mutating func prepare(rows: Int) { masses.reserve(longest + rows) }

  /// Records that every lane got `rows` more slots at its end.
  public mutating func advance(rows: Int) {
    for index in counts.indices { counts[index] += Int32(rows) }
    if isCompacted {
      let new = (computed..<computed + rows).map(Int32.init)
      for index in positions.indices { positions[index] += new }
    }
    let later = min(rows, max(0, computed + rows - schedule.promptTokens))
    if later > 0 {
      decodeTokens += later
      // The last row finds all slots, each before it one fewer in every lane.
      decodeSlots += later * totalSlots - counts.count * (later * (later - 1) / 2)
    }
    computed += rows
    longest += rows
    shortest += rows
    masses.reserve(longest)
  }

  /// Position of each slot of a lane.
  public func positions(lane: Int) -> [Position] {
    isCompacted ? positions[lane].map(Int.init) : Array(0..<Int(counts[lane]))
  }

  /// Drops what was not kept: positions and masses move to the front of each lane, and the next question is fixed.
  /// - Parameter kept: per lane the indices that stay, ascending.
  mutating func keep(_ kept: [[Int]]) {
    precondition(kept.count == counts.count, "every lane needs an answer")
    if !isCompacted { positions = counts.map { Array(0..<$0) } }
    for lane in kept.indices {
      droppedSlots += Int(counts[lane]) - kept[lane].count
      positions[lane] = kept[lane].map { positions[lane][$0] }
      masses.keep(kept[lane], lane: lane, of: Int(counts[lane]))
      counts[lane] = Int32(kept[lane].count)
    }
    longest = Int(counts.max() ?? 0)
    shortest = Int(counts.min() ?? 0)
    precondition(
      policy.numbering == .text || longest == shortest,
      "a row has one position, so lanes that are numbered anew must be equally long")
    questions += 1
    answeredAt = computed
    reading?.forgetParts()
    nextQuestion = schedule.nextQuestion(after: computed, excess: excess)
  }

  /// Gives an empty lane its slots; `finishAdopting` does the rest.
  mutating func adopt(lane: Int, slots: Int) { counts[lane] = Int32(slots) }

  /// Takes over what `state` tells of all lanes together. Its arrays fit these lanes.
  mutating func finishAdopting(_ state: LaneState) {
    positions = state.positions
    computed = state.computed
    answeredAt = state.answeredAt
    questions = state.questions
    droppedSlots = state.droppedSlots
    decodeTokens = state.decodeTokens
    decodeSlots = state.decodeSlots
    longest = Int(counts.max() ?? 0)
    shortest = Int(counts.min() ?? 0)
    masses.restore(state.masses, longest: longest)
    // Every lane has grown by one slot a token since the last answer.
    nextQuestion = schedule.nextQuestion(after: answeredAt, excess: excess.map { $0 - (computed - answeredAt) })
  }

  /// Slots of the fullest lane over its budget; nil without budgets.
  private var excess: Int? {
    var most: Int?
    for (lane, budget) in budgets.enumerated() {
      guard let budget else { continue }
      most = max(most ?? .min, Int(counts[lane]) - budget)
    }
    return most
  }
}

extension LaneTable {
  /// How the next `rows` rows enter the masses; empty if no signal wants them.
  public func tallies(rows: Int) -> [MassTally] {
    guard let question = nextQuestion, computed + rows <= question else { return [] }
    return masses.tallies(computed: computed, rows: rows, question: question)
  }

  /// Lets `body` add to the masses of a layer: `[kvHeads][tallies]`, each `stride` numbers.
  public mutating func withMasses(layer: Int, _ body: (_ start: UnsafeMutablePointer<Float>, _ stride: Int) -> Void) {
    masses.withMasses(firstLane: layer * kvHeads, body)
  }

  /// The declared signals of one lane.
  /// - Parameter keys: the lane's keys, if they are declared.
  public func signals(lane: Int, keys: [Float]?) -> LaneSignals {
    var values = masses.signals(lane: lane, slots: Int(counts[lane]), rows: computed - answeredAt)
    if let keys { values[.keys] = keys }
    return LaneSignals(values)
  }

  /// The declared signals of a layer whose lanes hold the same slots: the mean over its KV heads.
  public func signals(layer: Int, keys: [Float]?) -> LaneSignals {
    let lanes = layer * kvHeads..<(layer + 1) * kvHeads
    let all = lanes.map { masses.signals(lane: $0, slots: Int(counts[$0]), rows: computed - answeredAt) }
    var values: [KVSignal: [Float]] = [:]
    for (signal, first) in all.first ?? [:] {
      var sum = first
      for other in all.dropFirst() {
        for (index, value) in (other[signal] ?? []).enumerated() { sum[index] += value }
      }
      values[signal] = sum.map { $0 / Float(kvHeads) }
    }
    if let keys { values[.keys] = keys }
    return LaneSignals(values)
  }
}
