// The automaton: nodes with byte edges, calls of rules, ends of rules.

/// A pushdown automaton over bytes; immutable.
final class CompiledGrammar: Sendable {
  struct Edge: Sendable, Hashable {
    var low: UInt8
    var high: UInt8
    var target: Int32
  }

  enum Node: Sendable {
    /// Consumes a byte.
    case bytes([Edge])
    /// Goes on at any of these without consuming.
    case split([Int32])
    /// Matches a rule, then goes on.
    case call(rule: Int32, next: Int32)
    /// The rule is matched.
    case end
  }

  let nodes: [Node]
  /// First node of each rule.
  let entries: [Int32]
  let root: Int32
  /// Rule calls that must still be opened, at least, to reach the end of the rule from a node. `Int32.max`: no way out.
  let needs: [Int32]
  /// Bytes that no edge tells apart share a class.
  let classOfByte: [UInt8]
  /// One byte of each class.
  let classBytes: [UInt8]

  init(_ description: GrammarDescription) throws(SamplingError) {
    var builder = GrammarCompiler()
    for rule in description.rules { try builder.compile(rule) }
    nodes = builder.nodes
    entries = builder.entries
    root = Int32(description.root)
    try GrammarAnalysis.refuseLeftRecursion(nodes, entries, names: description.rules.map(\.name))
    needs = GrammarAnalysis.needs(nodes, entries)
    (classOfByte, classBytes) = GrammarAnalysis.byteClasses(nodes)
    guard needs[Int(entries[Int(root)])] <= GrammarLimits.stackDepth else {
      throw SamplingError(
        .invalidGrammar,
        "the rule '\(description.rules[description.root].name)' can never be finished: no text matches it",
        parameter: description.rules[description.root].name)
    }
  }
}

/// Builds nodes from the back: an expression is compiled with the node that follows it.
struct GrammarCompiler {
  private(set) var nodes: [CompiledGrammar.Node] = []
  private(set) var entries: [Int32] = []
  /// Single-edge nodes that can be shared inside one rule.
  private var shared: [[CompiledGrammar.Edge]: Int32] = [:]

  mutating func compile(_ rule: GrammarDescription.Rule) throws(SamplingError) {
    shared = [:]
    let end = try add(.end)
    entries.append(try compile(rule.expression, then: end))
  }

  private mutating func add(_ node: CompiledGrammar.Node) throws(SamplingError) -> Int32 {
    guard nodes.count < GrammarLimits.nodes else {
      throw SamplingError(
        .tooLarge,
        "the constraint needs more than \(GrammarLimits.nodes) automaton nodes; use smaller counts or fewer alternatives"
      )
    }
    nodes.append(node)
    return Int32(nodes.count - 1)
  }

  private mutating func addBytes(_ edges: [CompiledGrammar.Edge]) throws(SamplingError) -> Int32 {
    if let node = shared[edges] { return node }
    let node = try add(.bytes(edges))
    shared[edges] = node
    return node
  }

  private mutating func compile(_ expression: GrammarExpression, then next: Int32) throws(SamplingError) -> Int32 {
    switch expression {
    case .empty: return next
    case .nothing: return try add(.split([]))
    case .bytes(let bytes):
      var node = next
      for byte in bytes.reversed() { node = try addBytes([.init(low: byte, high: byte, target: node)]) }
      return node
    case .scalars(let set): return try compile(set, then: next)
    case .rule(let rule): return try add(.call(rule: Int32(rule), next: next))
    case .sequence(let parts):
      var node = next
      for part in parts.reversed() { node = try compile(part, then: node) }
      return node
    case .choice(let parts):
      var starts: [Int32] = []
      for part in parts { starts.append(try compile(part, then: next)) }
      return try add(.split(starts))
    case .literals(let texts):
      return try compileTrie(texts.sorted { $0.lexicographicallyPrecedes($1) }[...], depth: 0, then: next)
    case .repeated(let body, let minimum, let maximum):
      return try compileRepetition(body, minimum, maximum, then: next)
    }
  }

  private mutating func compile(_ set: ScalarSet, then next: Int32) throws(SamplingError) -> Int32 {
    var byLead: [CompiledGrammar.Edge] = []
    for sequence in set.byteSequences {
      var node = next
      for range in sequence.dropFirst().reversed() {
        node = try addBytes([.init(low: range.lowerBound, high: range.upperBound, target: node)])
      }
      guard let lead = sequence.first else { continue }
      byLead.append(.init(low: lead.lowerBound, high: lead.upperBound, target: node))
    }
    return try addBytes(byLead)
  }

  /// Sorted texts to a trie; the same text twice counts once.
  private mutating func compileTrie(
    _ texts: ArraySlice<[UInt8]>, depth: Int, then next: Int32
  ) throws(SamplingError) -> Int32 {
    guard let only = texts.first else { return try add(.split([])) }
    if texts.count == 1 || texts.last == only { return try compile(.bytes(Array(only.dropFirst(depth))), then: next) }
    var rest = texts
    var ends = false
    while let text = rest.first, text.count == depth {
      ends = true
      rest = rest.dropFirst()
    }
    var edges: [CompiledGrammar.Edge] = []
    while let text = rest.first {
      let byte = text[depth]
      let group = rest.prefix { $0[depth] == byte }
      rest = rest.dropFirst(group.count)
      guard depth < 1_024 else {
        throw SamplingError(.tooLarge, "choices share a prefix longer than 1024 bytes")
      }
      edges.append(.init(low: byte, high: byte, target: try compileTrie(group, depth: depth + 1, then: next)))
    }
    let node = try addBytes(edges)
    return ends ? try add(.split([node, next])) : node
  }

  private mutating func compileRepetition(
    _ body: GrammarExpression, _ minimum: Int, _ maximum: Int?, then next: Int32
  ) throws(SamplingError) -> Int32 {
    var node = next
    if let maximum {
      var optionals = maximum - minimum
      while optionals > 0 {
        let start = try compile(body, then: node)
        node = try add(.split([start, next]))
        optionals -= 1
      }
    } else {
      let loop = try add(.split([]))
      let start = try compile(body, then: loop)
      nodes[Int(loop)] = .split([start, next])
      node = loop
    }
    for _ in 0..<minimum { node = try compile(body, then: node) }
    return node
  }
}
