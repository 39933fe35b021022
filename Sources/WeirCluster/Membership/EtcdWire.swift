// What is said to etcd 3 over its JSON gateway, and what it answers; no network in here.
// Source: etcd's rpc.proto and its gRPC gateway: keys and values are base64, 64-bit integers are strings.

import WeirBasics

/// One key of etcd with its value.
struct EtcdPair: Equatable {
  var key: String
  var value: [UInt8]
  var modifyRevision: Int
}

/// One change that a watch tells.
enum EtcdChange: Equatable {
  case put(EtcdPair)
  case deleted(key: String)
}

/// One message of a watch.
enum EtcdWatchMessage: Equatable {
  case created(revision: Int)
  case changes([EtcdChange], revision: Int)
  /// The server ended the watch, for example because the wanted revision was compacted away.
  case cancelled(String)
}

/// Requests as JSON bodies and answers as values.
enum EtcdWire {
  static let putPath = "/v3/kv/put"
  static let rangePath = "/v3/kv/range"
  static let transactionPath = "/v3/kv/txn"
  static let deletePath = "/v3/kv/deleterange"
  static let grantPath = "/v3/lease/grant"
  static let keepAlivePath = "/v3/lease/keepalive"
  static let revokePath = "/v3/lease/revoke"
  static let watchPath = "/v3/watch"

  // MARK: - Requests

  private static func coded(_ text: String) -> JSONValue { JSONValue(Base64.encode(Array(text.utf8))) }

  /// A 64-bit integer as the gateway wants it.
  private static func long(_ value: Int64) -> JSONValue { JSONValue(String(value)) }

  static func put(key: String, value: JSONValue, lease: Int64?) -> JSONValue {
    var body: JSONObject = ["key": coded(key), "value": JSONValue(Base64.encode(value.serializedBytes()))]
    if let lease { body["lease"] = long(lease) }
    return .object(body)
  }

  static func range(key: String) -> JSONValue { ["key": coded(key)] }

  static func range(prefix: String) -> JSONValue {
    ["key": coded(prefix), "range_end": JSONValue(Base64.encode(end(ofPrefix: prefix)))]
  }

  static func delete(key: String) -> JSONValue { ["key": coded(key)] }

  static func watch(prefix: String, fromRevision revision: Int) -> JSONValue {
    [
      "create_request": [
        "key": coded(prefix), "range_end": JSONValue(Base64.encode(end(ofPrefix: prefix))),
        "start_revision": long(Int64(revision)),
      ]
    ]
  }

  static func grant(seconds: Int) -> JSONValue { ["TTL": long(Int64(seconds))] }

  static func lease(_ id: Int64) -> JSONValue { ["ID": long(id)] }

  /// Puts only if the key was last changed at `revision` (0: does not exist).
  static func putIfUnchanged(key: String, revision: Int, put: JSONValue) -> JSONValue {
    [
      "compare": [
        [
          "key": coded(key), "target": "MOD", "result": "EQUAL",
          "mod_revision": long(Int64(revision)),
        ]
      ],
      "success": [["request_put": put]],
    ]
  }

  /// The first key behind all keys that begin with `prefix`.
  static func end(ofPrefix prefix: String) -> [UInt8] {
    var bytes = Array(prefix.utf8)
    while let last = bytes.popLast() {
      if last < 0xFF { return bytes + [last + 1] }
    }
    return [0]
  }

  // MARK: - Answers

  /// The body of a good answer.
  static func body(of answer: HTTPAnswer) throws(RegistryError) -> JSONValue {
    let parsed = try? JSONValue.parse(utf8: answer.body)
    guard (200..<300).contains(answer.status) else {
      let told = parsed?["message"]?.string ?? parsed?["error"]?.string
      throw .refused(
        status: answer.status,
        message: String((told ?? String(decoding: answer.body.prefix(200), as: UTF8.self)).prefix(300)))
    }
    guard let parsed, case .object = parsed else { throw .malformed("it is no JSON object") }
    return parsed
  }

  /// A 64-bit integer, which the gateway writes as a string and leaves out when it is 0.
  static func long(_ value: JSONValue?) throws(RegistryError) -> Int64 {
    guard let value, !value.isNull else { return 0 }
    if let number = value.int { return Int64(number) }
    guard let number = value.string.flatMap({ Int64($0) }) else {
      throw .malformed("\(String(value.serialized().prefix(60))) is no integer")
    }
    return number
  }

  static func revision(_ body: JSONValue) throws(RegistryError) -> Int {
    Int(try long(body["header"]?["revision"]))
  }

  static func granted(_ body: JSONValue) throws(RegistryError) -> (id: Int64, seconds: Int) {
    let id = try long(body["ID"])
    guard id != 0 else { throw .malformed("a lease has no ID") }
    return (id, Int(try long(body["TTL"])))
  }

  /// Whether the lease still lives: a lost one has no TTL in the answer.
  static func isAlive(keepAlive body: JSONValue) throws(RegistryError) -> Bool {
    try long((body["result"] ?? body)["TTL"]) > 0
  }

  static func succeeded(_ body: JSONValue) -> Bool { body["succeeded"]?.bool ?? false }

  static func pairs(_ body: JSONValue) throws(RegistryError) -> [EtcdPair] {
    guard let items = body["kvs"], !items.isNull else { return [] }
    guard let items = items.array else { throw .malformed("kvs is no list") }
    var pairs: [EtcdPair] = []
    for item in items { pairs.append(try pair(item)) }
    return pairs
  }

  private static func pair(_ item: JSONValue) throws(RegistryError) -> EtcdPair {
    guard let key = item["key"]?.string.flatMap({ Base64.decode($0) }) else {
      throw .malformed("a key is no base64")
    }
    guard let value = Base64.decode(item["value"]?.string ?? "") else { throw .malformed("a value is no base64") }
    return EtcdPair(
      key: String(decoding: key, as: UTF8.self), value: value, modifyRevision: Int(try long(item["mod_revision"])))
  }

  /// One line of a watch's answer.
  static func watchMessage(_ line: [UInt8]) throws(RegistryError) -> EtcdWatchMessage {
    guard let value = try? JSONValue.parse(utf8: line), case .object = value else {
      throw .malformed("a line of the watch is no JSON object")
    }
    if let error = value["error"] {
      return .cancelled(error["message"]?.string ?? error.string ?? String(error.serialized().prefix(200)))
    }
    guard let result = value["result"] else { throw .malformed("a line of the watch has no result") }
    if result["canceled"]?.bool == true {
      let compacted = try long(result["compact_revision"])
      let why = result["cancel_reason"]?.string ?? ""
      return .cancelled(compacted > 0 ? "compacted up to revision \(compacted)" : why)
    }
    let revision = try revision(result)
    guard let events = result["events"]?.array else { return .created(revision: revision) }
    var changes: [EtcdChange] = []
    for event in events {
      guard let item = event["kv"] else { throw .malformed("an event has no kv") }
      let pair = try pair(item)
      // PUT is the default of the field and is left out by the gateway.
      switch event["type"]?.string ?? "PUT" {
      case "PUT": changes.append(.put(pair))
      case "DELETE": changes.append(.deleted(key: pair.key))
      case let other: throw .malformed("an event is of type \(other.prefix(20))")
      }
    }
    return .changes(changes, revision: revision)
  }
}
