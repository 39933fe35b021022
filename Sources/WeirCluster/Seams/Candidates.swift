// Who may be asked at all: the laws that no routing policy may break, in one place.

import WeirBasics

/// The nodes that can take a request, for each side, by ascending id; never empty.
///
/// A candidate is alive, open, of the right model and protocol, and large enough. To decode it must also have room for
/// the whole request now, because a sequence that runs out of blocks on its decode node has travelled for nothing; a
/// prompt that waits for its prefill holds no blocks, so there it is enough that it fits the pool. Roles choose among
/// the candidates unless no open node has the role: then everybody is asked, because a role is a bias.
public struct Candidates: Sendable {
  public let prefill: [NodeFacts]
  public let decode: [NodeFacts]
  public let refusals: [RouteRefusal]

  /// - Throws: ``RoutingError`` if a side has no candidate.
  public init(_ request: RouteRequest, _ facts: RouteFacts) throws(RoutingError) {
    var refusals: [RouteRefusal] = []
    let open = facts.nodes.filter { node in
      if node.isOpen { return true }
      refusals.append(RouteRefusal(node: node.id, side: nil, cause: node.isAlive ? .draining : .dead))
      return false
    }
    guard !open.isEmpty else { throw .noNode }
    let serving = open.filter { node in
      let isServed = node.description.model == request.model
      let speaks = node.description.protocolVersion == request.protocolVersion
      if !isServed || !speaks {
        refusals.append(RouteRefusal(node: node.id, side: nil, cause: isServed ? .otherProtocol : .otherModel))
      }
      return isServed && speaks
    }
    guard !serving.isEmpty else { throw .modelNotServed(request.model) }
    let large = serving.filter { node in
      let isLarge = Self.largestTokens(node) >= request.wholeTokens
      if !isLarge { refusals.append(RouteRefusal(node: node.id, side: nil, cause: .tooSmall)) }
      return isLarge
    }
    guard !large.isEmpty else {
      throw .tooLong(tokens: request.wholeTokens, limit: serving.map(Self.largestTokens).max() ?? 0)
    }
    prefill = Self.preferring(.prefill, large, &refusals)
    let decoding = Self.preferring(.decode, large, &refusals)
    let roomy = decoding.filter { node in
      let isRoomy = Self.roomTokens(node) >= request.wholeTokens
      if !isRoomy { refusals.append(RouteRefusal(node: node.id, side: .decode, cause: .noRoom)) }
      return isRoomy
    }
    guard !roomy.isEmpty else {
      throw .noRoom(tokens: request.wholeTokens, roomTokens: decoding.map(Self.roomTokens).max() ?? 0)
    }
    decode = roomy
    self.refusals = refusals
  }

  /// Whether `node` may do both sides of the request.
  public func areBoth(_ node: NodeFacts) -> Bool {
    prefill.contains { $0.id == node.id } && decode.contains { $0.id == node.id }
  }

  private static func preferring(
    _ side: Side, _ nodes: [NodeFacts], _ refusals: inout [RouteRefusal]
  ) -> [NodeFacts] {
    let preferred = nodes.filter { $0.role.takes(side) }
    guard !preferred.isEmpty else { return nodes }
    for node in nodes where !node.role.takes(side) {
      refusals.append(RouteRefusal(node: node.id, side: side, cause: .otherRole))
    }
    return preferred
  }

  /// Tokens of the longest sequence that the node could ever hold.
  static func largestTokens(_ node: NodeFacts) -> Int {
    min(node.description.capacity.contextLength, node.description.capacity.totalBlocks * node.description.kv.blockSlots)
  }

  /// Tokens that a new sequence could hold now.
  static func roomTokens(_ node: NodeFacts) -> Int { node.report.roomBlocks * node.description.kv.blockSlots }
}
