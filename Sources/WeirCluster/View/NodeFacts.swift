// What decisions may know of one node.

public import WeirBasics

/// One node at one moment, as routing and roles see it.
public struct NodeFacts: Sendable, Equatable {
  public var description: NodeDescription
  /// The node holds its lease, its reports are fresh, and nobody has found it unreachable since the last one.
  public var isAlive: Bool
  /// The latest report, with what was placed on the node since then added to it.
  public var report: LoadReport
  /// The reports smoothed over a window.
  public var average: LoadVector

  public init(description: NodeDescription, isAlive: Bool = true, report: LoadReport, average: LoadVector? = nil) {
    self.description = description
    self.isAlive = isAlive
    self.report = report
    self.average = average ?? LoadVector(report)
  }

  /// A node that has just joined: nothing runs, nothing is measured.
  public init(joined description: NodeDescription) {
    self.init(description: description, report: Self.emptyReport(of: description))
  }

  public var id: NodeID { description.id }
  public var role: Role { report.role }
  /// Alive and taking new requests.
  public var isOpen: Bool { isAlive && !report.isDraining }

  static func emptyReport(of description: NodeDescription) -> LoadReport {
    var report = LoadReport(
      node: description.id, incarnation: description.incarnation, sequence: -1, role: description.homeRole)
    report.queues.totalBlocks = description.capacity.totalBlocks
    report.queues.freeBlocks = description.capacity.totalBlocks
    return report
  }
}
