// What does this step read?

public import WeirBasics

/// Chooses which resident slots of a lane a generated token reads. Nothing is lost: what is not read now can be read
/// later.
///
/// The engine cuts the text into parts where `boundaries` says so, keeps an abstract of every part's keys per lane, and
/// asks before the attention of each layer. Rows of the prompt read everything.
public protocol Selection: Sendable {
  /// Most slots that a step reads of a lane, the new token's own included; nil: everything, and nobody is asked.
  var readSlots: Int? { get }
  /// Tells where parts begin; a fresh one for every sequence.
  var boundaries: any TextBoundaries { get }
  /// What stands for the keys of a part; with `.keys` a part is as near as its nearest key.
  var abstract: KeyAbstract { get }
  /// Whether the query that parts are compared with is the mean over the rows of the part that is being generated; else
  /// it is the newest row's.
  var averagesQueries: Bool { get }
  /// Whether the query heads that share a KV head are compared one by one, and the nearest counts; else their mean is.
  var comparesHeads: Bool { get }
  /// Whether heads that are compared one by one are made comparable first: each one's products become shares of the
  /// attention that it would spend (`LaneParts.shares`).
  var sharesHeads: Bool { get }
  /// Most tokens that one abstract stands for: a longer part has several, the nearest of which counts; nil: a part has one.
  var abstractTokens: Int? { get }
  /// Whether rows choose in this layer, or read all of it.
  func isAsked(inLayer layer: Int) -> Bool
  /// The slots that matter most. A pure function; ties go to the lower position. The engine adds `RetentionFloors` to
  /// the answer and cuts it to `readSlots`.
  ///
  /// - Returns: runs of slots, ascending, not overlapping.
  func selected(in lane: LaneParts) -> [Range<Int>]
}

extension Selection {
  public var sharesHeads: Bool { false }
  public var abstractTokens: Int? { nil }
}

/// The parts of one lane, compared with a query.
public struct LaneParts: Sendable, Equatable {
  /// Resident slots, the new token's own included.
  public let slots: Int
  /// First slot of each part and the end of the last, ascending. What follows belongs to no part yet. A part whose slots
  /// were all dropped is empty.
  public let starts: [Int32]
  /// Product of the query with the abstract of each part.
  public let likenesses: [Float]

  /// - Precondition: there is one start more than there are likenesses.
  public init(slots: Int, starts: [Int32], likenesses: [Float]) {
    precondition(starts.count == likenesses.count + 1, "\(likenesses.count) parts need one start more")
    self.slots = slots
    self.starts = starts
    self.likenesses = likenesses
  }
}

/// Finds where parts of a text begin. A value: what it has read is all it knows.
public protocol TextBoundaries: Sendable {
  /// Reads what the next token adds to the text, possibly nothing; whether a part begins with it.
  mutating func begins(with text: String) -> Bool
}

/// The same, told tokens instead of text: what an engine makes of a policy's boundaries and its tokenizer.
public protocol TokenBoundaries: Sendable {
  mutating func begins(with token: TokenID) -> Bool
}

extension RetentionFloors {
  /// The runs of slots that a step reads: a selection's answer with the floors added and cut to the budget, later slots
  /// first. The last slot, the new token's own, is always among them.
  ///
  /// - Parameters:
  ///   - wanted: ascending, not overlapping.
  ///   - slots: slots in the lane, at least 1.
  ///   - readSlots: most slots to read.
  public func apply(to wanted: [Range<Int>], slots: Int, readSlots: Int) -> [Range<Int>] {
    let budget = min(slots, max(1, readSlots))
    if budget == slots { return [0..<slots] }
    let sinks = min(sinkSlots, budget - 1)
    let recent = min(max(1, recentSlots), budget - sinks)
    let middle = sinks..<slots - recent
    var places = budget - sinks - recent
    var runs: [Range<Int>] = []
    func add(_ run: Range<Int>) {
      if run.isEmpty { return }
      if let last = runs.last, last.upperBound == run.lowerBound {
        runs[runs.count - 1] = last.lowerBound..<run.upperBound
      } else {
        runs.append(run)
      }
    }
    add(0..<sinks)
    for run in wanted where places > 0 {
      let kept = run.clamped(to: middle).prefix(places)
      add(kept)
      places -= kept.count
    }
    add(slots - recent..<slots)
    return runs
  }
}
