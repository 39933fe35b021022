// The automaton made deterministic as it is used: states, transitions and masks are found once and remembered.
//
// A state is a set of configurations (node, stack). Stacks are linked frames that share their tails; equal frames and
// equal states have one number each, so that a transition is one table look-up.

import Synchronization
import WeirBasics

/// Memory of one compiled grammar, shared by all requests that use it. What it remembers never changes an answer; a
/// constraint moves to a fresh table when this one is full, so no number is ever reused.
final class ConstraintTables: Sendable {
  let grammar: CompiledGrammar
  private let memory: Mutex<TableMemory>

  init(_ grammar: CompiledGrammar) {
    self.grammar = grammar
    memory = Mutex(TableMemory(grammar))
  }

  func withMemory<R>(_ body: (inout TableMemory) -> R) -> R { memory.withLock { body(&$0) } }
}

/// One configuration: a node that waits for a byte (or `accepting`), and the frame to return to.
struct Configuration: Hashable, Comparable {
  var node: Int32
  var frame: Int32

  /// Stands for the end of the root rule.
  static let accepting: Int32 = -1

  static func < (a: Configuration, b: Configuration) -> Bool {
    a.node < b.node || (a.node == b.node && a.frame < b.frame)
  }
}

/// States, frames, transitions and masks.
struct TableMemory: Sendable {
  typealias StateID = Int32
  static let dead: StateID = 0
  private static let unknown: StateID = -1
  /// The frame below the root rule.
  private static let bottom: Int32 = 0

  private struct Frame: Hashable {
    var next: Int32
    var parent: Int32
  }

  private let grammar: CompiledGrammar
  private let classes: Int
  private var frames: [Frame] = [Frame(next: -1, parent: -1)]
  private var frameDepths: [Int32] = [0]
  private var frameNumbers: [Frame: Int32] = [:]
  private var states: [[Configuration]] = [[]]
  private var stateNumbers: [[Configuration]: StateID] = [[]: TableMemory.dead]
  /// `[state, class]`.
  private(set) var transitions: [StateID]
  private var overflowing: Set<StateID> = []
  private(set) var start: StateID = TableMemory.dead
  // Scratch of `close`.
  private var open: [Configuration] = []
  private var seen: Set<Configuration> = []

  private var masks: [StateID: TokenMask] = [:]
  private var maskOrder: [StateID] = []

  init(_ grammar: CompiledGrammar) {
    self.grammar = grammar
    classes = grammar.classBytes.count
    transitions = [StateID](repeating: TableMemory.dead, count: classes)
    start = close([Configuration(node: grammar.entries[Int(grammar.root)], frame: TableMemory.bottom)])
  }

  /// Whether new users should begin with a fresh table.
  var isFull: Bool { states.count > GrammarLimits.states || frames.count > GrammarLimits.frames }

  /// Whether the text so far may be the whole output.
  func isComplete(_ state: StateID) -> Bool {
    // Accepting sorts first.
    states[Int(state)].first?.node == Configuration.accepting
  }

  /// Whether the output is complete and nothing can follow.
  func mustEnd(_ state: StateID) -> Bool { isComplete(state) && states[Int(state)].count == 1 }

  /// Whether alternatives had to be dropped on the way into `state`.
  func hasOverflowed(_ state: StateID) -> Bool { overflowing.contains(state) }

  /// The state after `byte`; `dead` if it is refused.
  mutating func step(_ state: StateID, _ byte: UInt8) -> StateID {
    let place = Int(state) * classes + Int(grammar.classOfByte[Int(byte)])
    let known = transitions[place]
    if known != Self.unknown { return known }
    var targets: [Configuration] = []
    for configuration in states[Int(state)] where configuration.node >= 0 {
      guard case .bytes(let edges) = grammar.nodes[Int(configuration.node)] else { continue }
      for edge in edges where edge.low <= byte && byte <= edge.high {
        targets.append(Configuration(node: edge.target, frame: configuration.frame))
      }
    }
    let next = close(targets)
    transitions[place] = next
    return next
  }

  // MARK: Closure

  /// Follows splits, calls and ends until every configuration waits for a byte; gives the state's number.
  ///
  /// A configuration whose rule cannot be finished within the stack bound is dropped at once, so that no state is a
  /// dead end.
  private mutating func close(_ seeds: [Configuration]) -> StateID {
    open.removeAll(keepingCapacity: true)
    seen.removeAll(keepingCapacity: true)
    var waiting: [Configuration] = []
    var overflow = false
    for seed in seeds { visit(seed) }
    while let configuration = open.popLast() {
      guard seen.count <= GrammarLimits.configurations else {
        overflow = true
        break
      }
      switch grammar.nodes[Int(configuration.node)] {
      case .bytes: waiting.append(configuration)
      case .split(let targets):
        for target in targets { visit(Configuration(node: target, frame: configuration.frame)) }
      case .call(let rule, let next): call(rule, next, configuration.frame)
      case .end:
        guard configuration.frame != Self.bottom else {
          waiting.append(Configuration(node: Configuration.accepting, frame: Self.bottom))
          continue
        }
        let frame = frames[Int(configuration.frame)]
        visit(Configuration(node: frame.next, frame: frame.parent))
      }
    }
    waiting.sort()
    let state = number(waiting)
    if overflow { overflowing.insert(state) }
    return state
  }

  private mutating func visit(_ configuration: Configuration) {
    let need = grammar.needs[Int(configuration.node)]
    guard need != .max, frameDepths[Int(configuration.frame)] + need <= GrammarLimits.stackDepth else { return }
    if seen.insert(configuration).inserted { open.append(configuration) }
  }

  private mutating func call(_ rule: Int32, _ next: Int32, _ frame: Int32) {
    let entry = grammar.entries[Int(rule)]
    if case .end = grammar.nodes[Int(next)] {
      visit(Configuration(node: entry, frame: frame))
      return
    }
    let depth = frameDepths[Int(frame)]
    let need = grammar.needs[Int(next)]
    guard need != .max, depth + need <= GrammarLimits.stackDepth, depth < GrammarLimits.stackDepth else { return }
    visit(Configuration(node: entry, frame: push(Frame(next: next, parent: frame))))
  }

  private mutating func push(_ frame: Frame) -> Int32 {
    if let known = frameNumbers[frame] { return known }
    let number = Int32(frames.count)
    frames.append(frame)
    frameDepths.append(frameDepths[Int(frame.parent)] + 1)
    frameNumbers[frame] = number
    return number
  }

  private mutating func number(_ configurations: [Configuration]) -> StateID {
    if let known = stateNumbers[configurations] { return known }
    let number = StateID(states.count)
    states.append(configurations)
    stateNumbers[configurations] = number
    transitions.append(contentsOf: repeatElement(Self.unknown, count: classes))
    return number
  }

  // MARK: Masks

  /// The tokens that may come next in `state`; end tokens exactly if it is complete.
  mutating func mask(_ state: StateID, _ vocabulary: ConstraintVocabulary) -> TokenMask {
    if let known = masks[state] { return known }
    var mask = TokenMask(count: vocabulary.count)
    walk(state, vocabulary, &mask)
    if isComplete(state) { for token in vocabulary.endTokens { mask.insert(token) } }
    let limit = max(8, min(GrammarLimits.masks, GrammarLimits.maskBytes / max(1, mask.words.count * 8)))
    if maskOrder.count >= limit {
      // Forget the older half: rare, and cheaper than keeping exact order of use.
      for old in maskOrder.prefix(limit / 2) { masks[old] = nil }
      maskOrder.removeFirst(limit / 2)
    }
    masks[state] = mask
    maskOrder.append(state)
    return mask
  }

  /// Walks the trie; where a transition is not known yet, it is found and the walk goes on from there.
  private mutating func walk(_ state: StateID, _ vocabulary: ConstraintVocabulary, _ mask: inout TokenMask) {
    var path = [StateID](repeating: Self.dead, count: vocabulary.maximumDepth + 1)
    path[0] = state
    var node = 0
    while true {
      node = walkKnown(from: node, vocabulary, &path, &mask)
      guard node < vocabulary.nodeBytes.count else { return }
      _ = step(path[Int(vocabulary.nodeDepths[node]) - 1], vocabulary.nodeBytes[node])
    }
  }

  /// Returns the first trie node whose transition is unknown, or the number of nodes.
  private func walkKnown(
    from first: Int, _ vocabulary: ConstraintVocabulary, _ path: inout [StateID], _ mask: inout TokenMask
  ) -> Int {
    let classes = classes
    var node = first
    transitions.withUnsafeBufferPointer { transitions in
      grammar.classOfByte.withUnsafeBufferPointer { classOfByte in
        vocabulary.withNodes { nodes in
          path.withUnsafeMutableBufferPointer { path in
            mask.words.withUnsafeMutableBufferPointer { words in
              let count = nodes.bytes.count
              while node < count {
                let depth = Int(nodes.depths[node])
                let place = Int(path[depth - 1]) * classes + Int(classOfByte[Int(nodes.bytes[node])])
                let next = transitions[place]
                if next > 0 {
                  path[depth] = next
                  var i = Int(nodes.tokenStarts[node])
                  let end = Int(nodes.tokenStarts[node + 1])
                  while i < end {
                    let token = nodes.tokens[i]
                    words[Int(token >> 6)] |= 1 << UInt64(token & 63)
                    i += 1
                  }
                  node += 1
                } else if next == Self.dead {
                  node = Int(nodes.subtreeEnds[node])
                } else {
                  return
                }
              }
            }
          }
        }
      }
    }
    return node
  }

  // MARK: Moving to another table

  /// A state as stacks of nodes, independent of this table.
  func export(_ state: StateID) -> [[Int32]] {
    states[Int(state)].map { configuration in
      var stack = [configuration.node]
      var frame = configuration.frame
      while frame > 0 {
        stack.append(frames[Int(frame)].next)
        frame = frames[Int(frame)].parent
      }
      return stack
    }
  }

  /// The number here of a state exported elsewhere.
  mutating func importState(_ stacks: [[Int32]]) -> StateID {
    number(
      stacks.map { stack in
        var frame = Self.bottom
        for next in stack.dropFirst().reversed() { frame = push(Frame(next: next, parent: frame)) }
        return Configuration(node: stack[0], frame: frame)
      }.sorted())
  }
}
