// Reads fields of a JSON object with ranges; every document of another node goes through here.

import WeirBasics

/// One object of a document, with its path for errors. Unknown members are ignored: a newer node may say more.
struct WireReader {
  let document: String
  let path: String
  let object: JSONObject

  /// Parses a whole document of at most `limitBytes` and checks its `version`.
  init(_ document: String, utf8: [UInt8], limitBytes: Int, version: Int) throws(WireError) {
    self.document = document
    path = ""
    guard utf8.count <= limitBytes else {
      throw WireError(.tooLong, document, "has \(utf8.count) bytes; it may have at most \(limitBytes)")
    }
    let value: JSONValue
    do { value = try JSONValue.parse(utf8: utf8) } catch {
      throw WireError(.notJSON, document, "is no JSON: \(error.message)")
    }
    guard case .object(let object) = value else {
      throw WireError(.notAnObject, document, "is of kind \(value.kindName); it must be an object")
    }
    self.object = object
    let found = try int("version", in: 0...Int.max)
    guard found == version else {
      throw WireError(.unsupportedVersion, document, "has version \(found); this build reads version \(version)")
    }
  }

  init(_ document: String, path: String, object: JSONObject) {
    self.document = document
    self.path = path
    self.object = object
  }

  private func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  private func missing(_ key: String) -> WireError {
    WireError(.missingField, document, field: name(key), "is missing")
  }

  func wrong(_ key: String, _ wanted: String) -> WireError {
    let found = object[key].map { String($0.serialized().prefix(60)) } ?? "nothing"
    return WireError(.wrongField, document, field: name(key), "is \(found); it must be \(wanted)")
  }

  private func value(_ key: String) throws(WireError) -> JSONValue {
    guard let value = object[key] else { throw missing(key) }
    return value
  }

  func int(_ key: String, in range: ClosedRange<Int>) throws(WireError) -> Int {
    guard let number = try value(key).int, range.contains(number) else {
      throw wrong(key, "a whole number in \(range.lowerBound)...\(range.upperBound)")
    }
    return number
  }

  /// A count that need not be there, 0 then.
  func count(_ key: String) throws(WireError) -> Int {
    object.contains(key) ? try int(key, in: 0...(1 << 48)) : 0
  }

  func number(_ key: String, in range: ClosedRange<Double>) throws(WireError) -> Double {
    guard let number = try value(key).double, range.contains(number) else {
      throw wrong(key, "a number in \(range.lowerBound)...\(range.upperBound)")
    }
    return number
  }

  func flag(_ key: String) throws(WireError) -> Bool {
    guard let flag = try value(key).bool else { throw wrong(key, "true or false") }
    return flag
  }

  func text(_ key: String, limitBytes: Int, mayBeEmpty: Bool = false) throws(WireError) -> String {
    guard let text = try value(key).string, text.utf8.count <= limitBytes, mayBeEmpty || !text.isEmpty else {
      throw wrong(key, "a string of \(mayBeEmpty ? 0 : 1) to \(limitBytes) bytes")
    }
    return text
  }

  func node(_ key: String) throws(WireError) -> NodeID {
    let id = NodeID(try text(key, limitBytes: 128))
    guard NodeDescription.isValid(id) else { throw wrong(key, "a node id of A-Z a-z 0-9 . _ -") }
    return id
  }

  func word<Word: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Word.Type
  ) throws(WireError) -> Word where Word.RawValue == String {
    guard let word = try value(key).string.flatMap({ Word(rawValue: $0) }) else {
      throw wrong(key, "one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return word
  }

  func child(_ key: String) throws(WireError) -> WireReader {
    guard case .object(let inner) = try value(key) else { throw wrong(key, "an object") }
    return WireReader(document, path: name(key), object: inner)
  }

  /// The member as an object; nil if it is missing or null.
  func optionalChild(_ key: String) throws(WireError) -> WireReader? {
    guard let value = object[key], !value.isNull else { return nil }
    return try child(key)
  }

  func children(_ key: String, limit: Int) throws(WireError) -> [WireReader] {
    guard let items = try value(key).array, items.count <= limit else {
      throw wrong(key, "a list of at most \(limit) objects")
    }
    var readers: [WireReader] = []
    for (index, item) in items.enumerated() {
      guard case .object(let inner) = item else { throw wrong(key, "a list of objects") }
      readers.append(WireReader(document, path: "\(name(key))[\(index)]", object: inner))
    }
    return readers
  }
}
