// What must hold inside the prefix tree.

import WeirBasics

extension PrefixTree {
  /// Everything that must hold; each finding is one sentence. O(vertices).
  public func checkInvariants() -> [String] {
    var findings: [String] = []
    var reached = 0
    for (index, scope) in scopes.enumerated() {
      guard let scope else { continue }
      if scope.children.isEmpty { findings.append("the scope of salt number \(index) is empty but kept") }
      var pending: [(BlockID, BlockID?, PrefixHash, Int)] = scope.children.map { ($0, nil, scope.hash, 0) }
      check(scope.children, "a root", into: &findings)
      while let (block, parent, hash, depth) = pending.popLast() {
        guard let vertex = vertex(block) else {
          findings.append("\(block) is listed as a child but is not a vertex")
          continue
        }
        reached += 1
        if vertex.parent != parent { findings.append("\(block) does not know its parent") }
        if vertex.scope != index { findings.append("\(block) is in another scope than its root") }
        if vertex.depth != depth { findings.append("\(block) has depth \(vertex.depth), not \(depth)") }
        if vertex.count < 1 || vertex.count > blockSlots { findings.append("\(block) holds \(vertex.count) tokens") }
        if vertex.count < blockSlots, !vertex.children.isEmpty { findings.append("\(block) is partial but continued") }
        let local = LocalHash(tokens: tokens(of: block))
        if local != vertex.localHash || PrefixHash(parent: hash, local: local) != vertex.prefixHash {
          findings.append("\(block) has hashes of other tokens")
        }
        check(vertex.children, "\(block)", into: &findings)
        pending += vertex.children.map { ($0, block, vertex.prefixHash, depth + 1) }
        if reached > count { break }
      }
    }
    let present = vertices.reduce(0) { $0 + ($1 == nil ? 0 : 1) }
    if reached != count || present != count {
      findings.append("\(reached) vertices are reachable, \(present) present, \(count) counted")
    }
    return findings
  }

  private func check(_ children: [BlockID], _ owner: String, into findings: inout [String]) {
    for (a, b) in zip(children, children.dropFirst()) where contains(a) && contains(b) {
      if !tokens(of: a).lexicographicallyPrecedes(tokens(of: b)) {
        findings.append("the children \(a) and \(b) of \(owner) are not in the order of their tokens")
      }
    }
  }
}
