// One choice's place in its constraint: which tokens may come next, and whether the output may end.

public import WeirBasics

/// Follows the output of one choice through a constraint. A value: a copy goes its own way.
public struct TokenConstraint: Sendable {
  public let source: ConstraintSource
  private let vocabulary: ConstraintVocabulary
  private var tables: ConstraintTables
  private var state: TableMemory.StateID
  private var hasEnded = false

  /// Compiles `source`, or finds it compiled in the vocabulary's cache.
  ///
  /// - Throws: `SamplingError` that says what is wrong with the schema, regex, grammar or list of choices.
  public init(_ source: ConstraintSource, vocabulary: ConstraintVocabulary) throws(SamplingError) {
    self.source = source
    self.vocabulary = vocabulary
    tables = try vocabulary.tables(for: source)
    state = tables.withMemory { $0.start }
    moveIfFull()
  }

  /// The tokens that may come next: those whose bytes the constraint accepts here, and the end tokens exactly if the
  /// output is complete. Microseconds for a state met before; otherwise one walk over the vocabulary.
  public mutating func mask() -> TokenMask {
    if hasEnded {
      var mask = TokenMask(count: vocabulary.count)
      for token in vocabulary.endTokens { mask.insert(token) }
      return mask
    }
    moveIfFull()
    return tables.withMemory { $0.mask(state, vocabulary) }
  }

  /// Advances by `token`. False, and nothing changes, if the constraint refuses it.
  public mutating func accept(_ token: TokenID) -> Bool {
    guard !hasEnded else { return vocabulary.endTokens.contains(token) }
    if vocabulary.endTokens.contains(token) {
      hasEnded = isComplete
      return hasEnded
    }
    guard let bytes = vocabulary.bytes(of: token), !bytes.isEmpty else { return false }
    return accept(bytes: bytes)
  }

  /// Advances by text that did not come as one token. False, and nothing changes, if the constraint refuses it.
  public mutating func accept(bytes: some Sequence<UInt8>) -> Bool {
    guard !hasEnded else { return false }
    moveIfFull()
    let next = tables.withMemory { memory in
      var next = state
      for byte in bytes {
        next = memory.step(next, byte)
        if next == TableMemory.dead { break }
      }
      return next
    }
    guard next != TableMemory.dead else { return false }
    state = next
    return true
  }

  /// Whether the output so far satisfies the constraint, so that it may end here.
  public var isComplete: Bool { hasEnded || tables.withMemory { $0.isComplete(state) } }

  /// Whether the output is complete and nothing more may follow.
  public var mustEnd: Bool { hasEnded || tables.withMemory { $0.mustEnd(state) } }

  /// Why the constraint can no longer be followed exactly: it was too ambiguous here and alternatives were dropped.
  /// What it still allows is legal output.
  public var failure: SamplingError? {
    guard tables.withMemory({ $0.hasOverflowed(state) }) else { return nil }
    return SamplingError(
      .tooLarge,
      "the constraint is too ambiguous: more than \(GrammarLimits.configurations) ways to read the output so far")
  }

  /// Begins a fresh table when this one has grown past its bound; the old one lives until nobody is in it.
  private mutating func moveIfFull() {
    guard tables.withMemory({ $0.isFull }) else { return }
    let stacks = tables.withMemory { $0.export(state) }
    let known = (try? vocabulary.tables(for: source)) ?? tables
    let fresh = known.withMemory({ $0.isFull }) ? ConstraintTables(tables.grammar) : known
    if fresh !== known { vocabulary.replaceTables(source, fresh) }
    state = fresh.withMemory { $0.importState(stacks) }
    tables = fresh
  }
}

extension ConstraintSource {
  /// Compiles the constraint and forgets it: whether a request is good, before it is queued.
  ///
  /// - Throws: what `TokenConstraint.init` would throw.
  public func validate() throws(SamplingError) { _ = try CompiledGrammar(description()) }
}
