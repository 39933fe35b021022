// The common form of all constraints before compilation: rules made of expressions over bytes and scalars.

/// One expression. `rule` refers to a rule of the same `GrammarDescription` by index.
indirect enum GrammarExpression: Sendable {
  case empty
  /// Matches nothing at all: an empty character class.
  case nothing
  case bytes([UInt8])
  case scalars(ScalarSet)
  case rule(Int)
  case sequence([GrammarExpression])
  case choice([GrammarExpression])
  /// One of many strings; compiled to a trie.
  case literals([[UInt8]])
  /// At least `minimum` times, at most `maximum` times (nil: without end).
  case repeated(GrammarExpression, Int, Int?)

  static func text(_ text: String) -> GrammarExpression { .bytes(Array(text.utf8)) }

  static func optional(_ expression: GrammarExpression) -> GrammarExpression { .repeated(expression, 0, 1) }
}

/// Named rules; the first to be matched is `root`.
struct GrammarDescription: Sendable {
  struct Rule: Sendable {
    var name: String
    var expression: GrammarExpression
  }

  var rules: [Rule] = []
  var root = 0

  /// Adds a rule and returns its index.
  mutating func add(_ name: String, _ expression: GrammarExpression = .nothing) -> Int {
    rules.append(Rule(name: name, expression: expression))
    return rules.count - 1
  }
}

/// Bounds on everything a client can make large.
enum GrammarLimits {
  /// Length of a regex, a grammar text or all choices together, in bytes.
  static let sourceBytes = 1 << 20
  /// Nesting of expressions in a source, and of rules without a byte between.
  static let expressionDepth = 100
  /// Nodes of the compiled automaton.
  static let nodes = 200_000
  /// A counted repetition.
  static let repetitions = 100_000
  /// Rule calls open at once; deeper nesting is not offered to the model.
  static let stackDepth = 120
  /// Alternatives that are followed at once; beyond them the constraint fails.
  static let configurations = 4_096
  /// States and stack frames in one table before a fresh table is begun.
  static let states = 20_000
  static let frames = 200_000
  /// Masks kept per table, and their memory in bytes.
  static let masks = 1_024
  static let maskBytes = 16 << 20
  /// Compiled constraints kept per vocabulary.
  static let compiledSources = 64
}
