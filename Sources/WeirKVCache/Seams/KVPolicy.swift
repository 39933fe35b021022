// The decisions about one sequence's KV, bundled.

public import WeirBasics

/// What a sequence keeps, under which budget, and what each step reads of it. A value per sequence.
public struct KVPolicy: Sendable {
  public var retention: any Retention
  public var budget: any LayerBudget
  public var selection: any Selection
  /// The statistics that the three ask for; the engine computes no others.
  public var signals: Set<KVSignal>
  /// Applied to every answer of `retention`.
  public var floors: RetentionFloors
  /// When `retention` is asked.
  public var cadence: RetentionCadence
  /// Whether each KV head keeps its own slots, or all of a layer the same.
  public var scope: RetentionScope
  /// What keys and queries are rotated by once slots were dropped.
  public var numbering: SlotNumbering

  public init(
    retention: any Retention = KeepEverything(), budget: any LayerBudget = KeepEverything(),
    selection: any Selection = KeepEverything(), signals: Set<KVSignal> = [],
    floors: RetentionFloors = RetentionFloors(sinkSlots: 4, recentSlots: 32),
    cadence: RetentionCadence = RetentionCadence(), scope: RetentionScope = .head, numbering: SlotNumbering = .text
  ) {
    self.retention = retention
    self.budget = budget
    self.selection = selection
    self.signals = signals
    self.floors = floors
    self.cadence = cadence
    self.scope = scope
    self.numbering = numbering
  }

  /// The full cache: what every other policy is compared with.
  public static var keepEverything: KVPolicy { KVPolicy() }

  /// The slots of `lane` that stay: the policy's answer under its budget and floors.
  public func retained(in lane: LaneView, signals: LaneSignals, moment: RetentionMoment) -> SlotSet {
    let limit = budget.budgetSlots(layer: lane.layer, kvHead: lane.kvHead)
    let wanted = retention.retained(in: lane, signals: signals, moment: moment, budgetSlots: limit)
    return floors.apply(to: wanted, slots: lane.slots, budgetSlots: limit)
  }
}

/// The default of all three seams: nothing is dropped, nothing is limited, everything is read.
public struct KeepEverything: Retention, LayerBudget, Selection, TextBoundaries {
  public init() {}

  public func begins(with text: String) -> Bool { false }

  public func retained(
    in lane: LaneView, signals: LaneSignals, moment: RetentionMoment, budgetSlots: Int?
  ) -> SlotSet { .all }

  public func budgetSlots(layer: Int, kvHead: Int) -> Int? { nil }

  public var readSlots: Int? { nil }
  public var boundaries: any TextBoundaries { self }
  public var abstract: KeyAbstract { .mean }
  public var averagesQueries: Bool { false }
  public var comparesHeads: Bool { false }
  public func isAsked(inLayer layer: Int) -> Bool { false }
  public func selected(in lane: LaneParts) -> [Range<Int>] { [0..<lane.slots] }
}
