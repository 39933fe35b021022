// Which key holds what, and how changes of keys become changes of membership.

import WeirBasics

/// The keys of one cluster: `/weir/CLUSTER/nodes/ID`, `.../load/ID`, `.../roles/ID`, and `.../control`, who directs roles.
struct EtcdKeys: Sendable, Equatable {
  enum Kind: String, CaseIterable { case nodes, load, roles }

  let cluster: String

  var prefix: String { "/weir/\(cluster)/" }
  /// Means nothing to a watcher of members.
  var control: String { prefix + "control" }

  func key(_ kind: Kind, _ node: NodeID) -> String { "\(prefix)\(kind.rawValue)/\(node.rawValue)" }

  /// What a key of this cluster is about; nil for any other key.
  func meaning(of key: String) -> (kind: Kind, node: NodeID)? {
    guard key.hasPrefix(prefix) else { return nil }
    let parts = key.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])) else { return nil }
    let node = NodeID(String(parts[1]))
    return NodeDescription.isValid(node) ? (kind, node) : nil
  }

  /// The members that `pairs` describe, by ascending id, and what could not be read.
  func members(_ pairs: [EtcdPair]) -> (members: [Member], refused: [MembershipEvent]) {
    var members: [NodeID: Member] = [:]
    var refused: [MembershipEvent] = []
    // Descriptions first: a report without its node is of no use.
    let order: [Kind] = [.nodes, .load, .roles]
    for kind in order {
      for pair in pairs {
        guard let meaning = meaning(of: pair.key), meaning.kind == kind else { continue }
        switch event(of: .put(pair)) {
        case .joined(let node): members[node.id] = Member(description: node)
        case .reported(let report): members[report.node]?.report = report
        case .directed(let directive): members[directive.node]?.directive = directive
        case .some(let other): refused.append(other)
        case nil: break
        }
      }
    }
    return (members.values.sorted { $0.description.id < $1.description.id }, refused)
  }

  /// The membership event of one change; nil if it means nothing to us.
  func event(of change: EtcdChange) -> MembershipEvent? {
    switch change {
    case .deleted(let key):
      guard let meaning = meaning(of: key), meaning.kind == .nodes else { return nil }
      return .left(meaning.node, .deleted)
    case .put(let pair):
      guard let meaning = meaning(of: pair.key) else { return nil }
      do throws(WireError) {
        switch meaning.kind {
        case .nodes:
          let node = try NodeDescription.parse(utf8: pair.value)
          return try Self.same(node.id, meaning.node, "node description") { .joined(node) }
        case .load:
          let report = try LoadReport.parse(utf8: pair.value)
          return try Self.same(report.node, meaning.node, "load report") { .reported(report) }
        case .roles:
          let directive = try RoleDirective.parse(utf8: pair.value)
          return try Self.same(directive.node, meaning.node, "role directive") { .directed(directive) }
        }
      } catch {
        return .refused(key: pair.key, error)
      }
    }
  }

  private static func same(
    _ inside: NodeID, _ key: NodeID, _ document: String, _ event: () -> MembershipEvent
  ) throws(WireError) -> MembershipEvent {
    guard inside == key else {
      throw WireError(.wrongField, document, field: "id", "is \(inside); it must be its key's node \(key)")
    }
    return event()
  }
}
