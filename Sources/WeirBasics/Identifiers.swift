// The numbers that travel between rooms, each with a type of its own (docs/NAMES.md).

/// One entry of a model's vocabulary.
public struct TokenID: RawRepresentable, Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral,
  CustomStringConvertible
{
  public var rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable public init(_ value: UInt32) { rawValue = value }
  /// Makes a token from an index into the vocabulary; `index` must be in `0..<2^32`.
  @inlinable public init(_ index: Int) { rawValue = UInt32(index) }
  @inlinable public init(integerLiteral value: UInt32) { rawValue = value }
  /// The token as an index into arrays of vocabulary length.
  @inlinable public var index: Int { Int(rawValue) }
  @inlinable public static func < (a: TokenID, b: TokenID) -> Bool { a.rawValue < b.rawValue }
  public var description: String { String(rawValue) }
}

/// One block of the block pool: a fixed run of token slots with all layers, K and V.
public struct BlockID: RawRepresentable, Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral,
  CustomStringConvertible
{
  public var rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable public init(_ index: Int) { rawValue = UInt32(index) }
  @inlinable public init(integerLiteral value: UInt32) { rawValue = value }
  @inlinable public var index: Int { Int(rawValue) }
  @inlinable public static func < (a: BlockID, b: BlockID) -> Bool { a.rawValue < b.rawValue }
  public var description: String { "b\(rawValue)" }
}

/// One growing token list with its block table: the engine's mutable unit.
public struct SequenceID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  public var rawValue: UInt64
  @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
  @inlinable public static func < (a: SequenceID, b: SequenceID) -> Bool { a.rawValue < b.rawValue }
  public var description: String { "s\(rawValue)" }
}

/// What a client asked; owns one or more sequences. The text is the client's `X-Request-Id` or one we made.
public struct RequestID: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public var rawValue: String
  @inlinable public init(rawValue: String) { self.rawValue = rawValue }
  @inlinable public init(_ text: String) { rawValue = text }
  public var description: String { rawValue }
}

/// One serving process with an engine and an address. Ordered, because ties between nodes go to the lower id.
public struct NodeID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
  public var rawValue: String
  @inlinable public init(rawValue: String) { self.rawValue = rawValue }
  @inlinable public init(_ text: String) { rawValue = text }
  @inlinable public static func < (a: NodeID, b: NodeID) -> Bool { a.rawValue < b.rawValue }
  public var description: String { rawValue }
}

/// Absolute index of a token in its sequence, from 0: what RoPE rotates by. It survives eviction of neighbours.
public typealias Position = Int
