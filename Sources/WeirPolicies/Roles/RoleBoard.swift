// Nodes, their roles as the plan has ordered them, and their scores: what one tick works on.

import WeirBasics
import WeirCluster

/// One tick's view: open nodes by ascending id.
struct Board {
  private struct Place {
    var role: Role
    var home: Role
    var scores: RoleScores
  }

  /// Ascending.
  let ids: [NodeID]
  private let places: [NodeID: Place]
  /// What the router could not place for lack of KV room, as a share of all batches.
  private let heldShare: Double

  /// - Parameter roles: roles that the plan has ordered; a report that is still to come does not overrule them.
  init(_ nodes: [NodeFacts], weights: RoleScoreWeights, held: Int, roles: [NodeID: Role]) {
    ids = nodes.map(\.id)
    places = Dictionary(
      uniqueKeysWithValues: nodes.map { node in
        let home = node.description.homeRole
        return (node.id, Place(role: roles[node.id] ?? home, home: home, scores: RoleScores(node, weights)))
      })
    let batches = nodes.reduce(0) { $0 + $1.description.capacity.runningLimit }
    heldShare = min(1, Double(held) / Double(max(1, batches)))
  }

  func role(_ id: NodeID) -> Role { places[id]?.role ?? .mixed }

  func home(_ id: NodeID) -> Role? { places[id]?.home }

  func takers(of side: Side) -> [NodeID] { ids.filter { role($0).takes(side) } }

  func score(_ side: Side, of id: NodeID) -> Double {
    guard let scores = places[id]?.scores else { return 0 }
    return side == .prefill ? scores.prefill : scores.decode
  }

  /// Mean over the nodes that take the side. Held requests wait for decode room: the smallest number of them says that
  /// the side is full.
  func score(_ side: Side) -> Double {
    let takers = takers(of: side)
    guard !takers.isEmpty else { return 1 }
    let mean = takers.reduce(0) { $0 + score(side, of: $1) } / Double(takers.count)
    return side == .decode && heldShare > 0 ? max(mean, min(1, 0.8 + heldShare)) : mean
  }

  /// The score that `side` would have if the node did not take it: its load spread over the others. Nil if no other
  /// node takes the side.
  func score(_ side: Side, without id: NodeID) -> Double? {
    let takers = takers(of: side)
    let others = takers.filter { $0 != id }
    guard !others.isEmpty else { return nil }
    // A node that goes home to a role that takes the side anyway goes on taking it.
    if home(id)?.takes(side) == true { return score(side) }
    return score(side) * Double(takers.count) / Double(others.count)
  }

  /// The node with the lowest score of `side`; ties go to the lower id.
  func idlest(of ids: [NodeID], side: Side) -> NodeID? {
    ids.min { (score(side, of: $0), $0.rawValue) < (score(side, of: $1), $1.rawValue) }
  }
}
