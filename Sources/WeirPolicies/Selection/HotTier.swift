// Which slots lie in the fast tier, and what has to move for a step.

public import WeirBasics

/// The fast one of two tiers of a lane: holds so many slots and gives up those that were read longest ago. All slots have
/// a copy in the slow tier, so giving up moves no bytes. A value; whoever owns the memory moves it.
public struct HotTier: Sendable, Equatable {
  /// What one step moves.
  public struct Movement: Sendable, Equatable {
    /// Positions to copy from the slow tier before the step, ascending.
    public var promoted: [Position] = []
    /// Positions whose room they take, ascending.
    public var demoted: [Position] = []
    /// Positions that the step reads where they are.
    public var hits = 0

    public init(promoted: [Position] = [], demoted: [Position] = [], hits: Int = 0) {
      self.promoted = promoted
      self.demoted = demoted
      self.hits = hits
    }
  }

  /// Slots that fit.
  public let capacitySlots: Int
  /// Step of the last reading by position.
  private var lastRead: [Position: Int] = [:]
  private var step = 0

  /// - Parameter capacitySlots: at least as many as a step reads.
  public init(capacitySlots: Int) { self.capacitySlots = capacitySlots }

  /// Positions in the fast tier, ascending.
  public var positions: [Position] { lastRead.keys.sorted() }

  /// Brings what a step reads into the fast tier. Equally old slots go from the lower position on.
  ///
  /// - Parameter selected: positions, ascending, at most `capacitySlots`.
  public mutating func load(_ selected: [Position]) -> Movement {
    precondition(selected.count <= capacitySlots, "\(selected.count) slots cannot lie in \(capacitySlots)")
    var movement = Movement()
    step += 1
    for position in selected {
      if lastRead.updateValue(step, forKey: position) == nil {
        movement.promoted.append(position)
      } else {
        movement.hits += 1
      }
    }
    let surplus = lastRead.count - capacitySlots
    guard surplus > 0 else { return movement }
    let oldest = lastRead.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(surplus)
    for entry in oldest { lastRead[entry.key] = nil }
    movement.demoted = oldest.map(\.key).sorted()
    return movement
  }
}
