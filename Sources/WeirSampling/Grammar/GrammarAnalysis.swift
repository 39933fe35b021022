// What must be known about a grammar before it is used: left recursion, ways out, bytes that are never told apart.

enum GrammarAnalysis {
  typealias Node = CompiledGrammar.Node

  /// Throws if a rule can reach itself without consuming a byte: following it would never end.
  static func refuseLeftRecursion(_ nodes: [Node], _ entries: [Int32], names: [String]) throws(SamplingError) {
    let nullable = nullableRules(nodes, entries)
    let calls = entries.map { leftCalls(nodes, $0, nullable) }
    // Colours of a depth-first search: 0 unseen, 1 open, 2 done.
    var colour = [UInt8](repeating: 0, count: entries.count)
    for start in entries.indices where colour[start] == 0 {
      var path: [(rule: Int, next: Int)] = [(start, 0)]
      colour[start] = 1
      while let top = path.last {
        guard top.next < calls[top.rule].count else {
          colour[top.rule] = 2
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let callee = calls[top.rule][top.next]
        if colour[callee] == 1 {
          throw SamplingError(
            .invalidGrammar,
            "the rule '\(names[callee])' is left-recursive: it can begin with itself; put a terminal first or use repetition",
            parameter: names[callee])
        }
        if colour[callee] == 0 {
          colour[callee] = 1
          path.append((callee, 0))
        }
      }
    }
  }

  /// Which rules match the empty text. Linear: a node is looked at again only when what it waits for is settled.
  private static func nullableRules(_ nodes: [Node], _ entries: [Int32]) -> [Bool] {
    let users = usersOfNodes(nodes, entries)
    var nullable = [Bool](repeating: false, count: nodes.count)
    var open = nodes.indices.filter { isEnd(nodes[$0]) }
    for node in open { nullable[node] = true }
    while let node = open.popLast() {
      for user in users[node] where !nullable[Int(user)] {
        switch nodes[Int(user)] {
        case .bytes, .end: continue
        case .call(let rule, let next) where !nullable[Int(next)] || !nullable[Int(entries[Int(rule)])]: continue
        default:
          nullable[Int(user)] = true
          open.append(Int(user))
        }
      }
    }
    return entries.map { nullable[Int($0)] }
  }

  /// For every node, the nodes whose answer depends on it.
  private static func usersOfNodes(_ nodes: [Node], _ entries: [Int32]) -> [[Int32]] {
    var users = [[Int32]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() {
      let user = Int32(index)
      switch node {
      case .bytes(let edges): for edge in edges { users[Int(edge.target)].append(user) }
      case .split(let targets): for target in targets { users[Int(target)].append(user) }
      case .call(let rule, let next):
        users[Int(next)].append(user)
        users[Int(entries[Int(rule)])].append(user)
      case .end: break
      }
    }
    return users
  }

  /// Rules that can be called before the first byte.
  private static func leftCalls(_ nodes: [Node], _ entry: Int32, _ nullable: [Bool]) -> [Int] {
    var found: Set<Int> = []
    walkWithoutBytes(nodes, entry, nullable) {
      if case .call(let rule, _) = nodes[Int($0)] { found.insert(Int(rule)) }
    }
    return found.sorted()
  }

  private static func walkWithoutBytes(
    _ nodes: [Node], _ entry: Int32, _ nullable: [Bool], _ visit: (Int32) -> Void
  ) {
    var seen: Set<Int32> = [entry]
    var open = [entry]
    while let node = open.popLast() {
      visit(node)
      var targets: [Int32] = []
      switch nodes[Int(node)] {
      case .split(let next): targets = next
      case .call(let rule, let next) where nullable[Int(rule)]: targets = [next]
      default: break
      }
      for target in targets where seen.insert(target).inserted { open.append(target) }
    }
  }

  /// For every node, how many calls deep one must go at least to reach the end of its rule; `Int32.max` if one cannot.
  ///
  /// The least solution of: end 0; bytes and split the least over the targets; call max(1 + entry of the rule, next), without the 1 in last place.
  /// Values are settled in rising order, as in a shortest-path search.
  static func needs(_ nodes: [Node], _ entries: [Int32]) -> [Int32] {
    let users = usersOfNodes(nodes, entries)
    var needs = [Int32](repeating: .max, count: nodes.count)
    var level: [Int32] = nodes.indices.filter { isEnd(nodes[$0]) }.map(Int32.init)
    var later: [Int32] = []
    var depth: Int32 = 0
    while !level.isEmpty {
      while let node = level.popLast() {
        guard needs[Int(node)] == .max else { continue }
        needs[Int(node)] = depth
        for user in users[Int(node)] where needs[Int(user)] == .max {
          guard case .call(let rule, let next) = nodes[Int(user)] else {
            level.append(user)
            continue
          }
          let inside = needs[Int(entries[Int(rule)])]
          guard inside != .max, needs[Int(next)] != .max else { continue }
          // A call in last place opens nothing: its frame is the caller's.
          let cost = isEnd(nodes[Int(next)]) ? inside : max(inside + 1, needs[Int(next)])
          if cost <= depth { level.append(user) } else { later.append(user) }
        }
      }
      level = later
      later = []
      depth += 1
    }
    return needs
  }

  private static func isEnd(_ node: Node) -> Bool { if case .end = node { true } else { false } }

  /// Splits the 256 bytes into classes that every edge treats alike.
  static func byteClasses(_ nodes: [Node]) -> (classOfByte: [UInt8], classBytes: [UInt8]) {
    var begins = [Bool](repeating: false, count: 257)
    begins[0] = true
    for case .bytes(let edges) in nodes {
      for edge in edges {
        begins[Int(edge.low)] = true
        begins[Int(edge.high) + 1] = true
      }
    }
    var classOfByte = [UInt8](repeating: 0, count: 256)
    var classBytes: [UInt8] = []
    for byte in 0..<256 {
      if begins[byte] { classBytes.append(UInt8(byte)) }
      classOfByte[byte] = UInt8(classBytes.count - 1)
    }
    return (classOfByte, classBytes)
  }
}
