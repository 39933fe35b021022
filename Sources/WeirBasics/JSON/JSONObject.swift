// An object that keeps the order of its keys.

/// An ordered dictionary from strings to JSON values.
///
/// Keys are compared by their UTF-8 bytes. Swift's own `String` comparison treats canonically equivalent spellings as
/// equal, which would merge different entries of a tokenizer's vocabulary.
public struct JSONObject: Sendable {
  /// The keys in order.
  public private(set) var keys: [String] = []
  /// The values in the order of `keys`.
  public private(set) var values: [JSONValue] = []
  /// Filled once there are more than `linearLimit` keys; smaller objects are searched.
  private var positions: [ByteKey: Int] = [:]
  private static let linearLimit = 8

  public init() {}

  /// Makes an object from pairs; a later pair replaces an earlier one of the same key.
  public init(_ pairs: [(String, JSONValue)]) {
    for (key, value) in pairs { self[key] = value }
  }

  public var count: Int { keys.count }
  public var isEmpty: Bool { keys.isEmpty }

  /// The value of `key`; assigning nil removes the key (O(n)), assigning a value keeps or appends its place.
  public subscript(key: String) -> JSONValue? {
    get {
      guard let place = place(of: key) else { return nil }
      return values[place]
    }
    set {
      guard let newValue else {
        remove(key)
        return
      }
      if let place = place(of: key) {
        values[place] = newValue
      } else {
        append(key, newValue)
      }
    }
  }

  /// Whether the object has the member `key`, be it null.
  public func contains(_ key: String) -> Bool { place(of: key) != nil }

  private func place(of key: String) -> Int? {
    if keys.count > Self.linearLimit { return positions[ByteKey(text: key)] }
    return keys.firstIndex { $0.utf8.elementsEqual(key.utf8) }
  }

  private mutating func append(_ key: String, _ value: JSONValue) {
    keys.append(key)
    values.append(value)
    if keys.count == Self.linearLimit + 1 {
      rebuildPositions()
    } else if keys.count > Self.linearLimit {
      positions[ByteKey(text: key)] = keys.count - 1
    }
  }

  private mutating func remove(_ key: String) {
    guard let place = place(of: key) else { return }
    keys.remove(at: place)
    values.remove(at: place)
    rebuildPositions()
  }

  private mutating func rebuildPositions() {
    positions = [:]
    guard keys.count > Self.linearLimit else { return }
    for (place, key) in keys.enumerated() { positions[ByteKey(text: key)] = place }
  }
}

extension JSONObject: Sequence {
  /// Pairs in key order.
  public func makeIterator() -> Zip2Sequence<[String], [JSONValue]>.Iterator { zip(keys, values).makeIterator() }
}

extension JSONObject: Equatable {
  /// Same members, in whatever order.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.count == b.count && zip(a.keys, a.values).allSatisfy { b[$0] == $1 }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}

/// A string whose identity is its bytes. Hashed with the process's random seed, so that a hostile request cannot
/// choose keys that collide.
struct ByteKey: Hashable, Sendable {
  let text: String

  static func == (a: ByteKey, b: ByteKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    let hashed: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { bytes in
      unsafe hasher.combine(bytes: UnsafeRawBufferPointer(bytes))
    }
    if hashed == nil { for byte in text.utf8 { hasher.combine(byte) } }
  }
}
