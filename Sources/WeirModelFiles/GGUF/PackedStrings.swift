// A list of byte strings in two arrays: a vocabulary of 150,000 entries is two allocations.

/// An immutable list of byte strings. GGUF strings need not be UTF-8: byte-level vocabularies hold anything.
public struct PackedStrings: Sendable, Equatable, RandomAccessCollection {
  private var storage: [UInt8] = []
  private var ends: [Int] = []

  public init() {}

  /// Makes a list of the UTF-8 bytes of strings.
  public init(_ strings: some Sequence<String>) {
    for string in strings { append(string.utf8) }
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { ends.count }

  /// The bytes of entry `index`, which must be in range.
  public subscript(index: Int) -> ArraySlice<UInt8> { storage[(index == 0 ? 0 : ends[index - 1])..<ends[index]] }

  /// Entry `index` as text; bytes that are no UTF-8 become U+FFFD.
  public func text(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }

  /// Adds an entry at the end.
  public mutating func append(_ bytes: some Sequence<UInt8>) {
    storage.append(contentsOf: bytes)
    ends.append(storage.count)
  }

  mutating func reserve(entries: Int) { ends.reserveCapacity(entries) }

  /// Bytes of all entries together.
  public var byteCount: Int { storage.count }
}
