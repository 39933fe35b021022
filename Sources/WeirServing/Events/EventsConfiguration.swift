// What `--kv-events-config` says: vLLM's KVEventsConfig.

import WeirBasics

/// Where and how KV events are published.
public struct EventsConfiguration: Sendable, Equatable {
  /// Address of the PUB socket, `tcp://*:5557`; port 0: any free one.
  public var endpoint = "tcp://*:5557"
  /// Address of the ROUTER socket that repeats batches; nil: nothing is repeated.
  public var replayEndpoint: String?
  /// Batches that are kept for repetition, 1 to 1 000 000.
  public var bufferSteps = 10_000
  /// Batches that wait for one slow subscriber before it misses some, 0 (no limit) to 10 000 000.
  public var highWater = 100_000
  /// Steps whose events may wait for the publisher, 1 to 10 000 000; beyond it everything is declared cleared.
  public var maxQueueSize = 100_000
  /// First frame of every message.
  public var topic = ""

  public init() {}

  /// Reads vLLM's JSON form; nil if it turns events off.
  ///
  /// - Throws: ``ConfigurationError`` that names the field.
  public init?(json text: String) throws(ConfigurationError) {
    guard let object = (try? JSONValue.parse(utf8: Array(text.utf8)))?.object else {
      throw Self.wrong("", "must be a JSON object such as {\"enable_kv_cache_events\": true}")
    }
    let known: Set<String> = [
      "enable_kv_cache_events", "publisher", "endpoint", "replay_endpoint", "buffer_steps", "hwm", "max_queue_size",
      "topic",
    ]
    for (name, value) in object {
      guard known.contains(name) else { throw Self.wrong(name, "is unknown; known are \(known.sorted())") }
      try read(name, value)
    }
    let isOn = object["enable_kv_cache_events"]?.bool ?? (object["publisher"]?.string == "zmq")
    let publisher = object["publisher"]?.string ?? (isOn ? "zmq" : "null")
    guard ["zmq", "null"].contains(publisher) else { throw Self.wrong("publisher", "must be zmq or null") }
    if !isOn || publisher == "null" { return nil }
  }

  private mutating func read(_ name: String, _ value: JSONValue) throws(ConfigurationError) {
    func integer(_ range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
      guard let number = value.int, range.contains(number) else {
        throw Self.wrong(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
    func string() throws(ConfigurationError) -> String {
      guard let text = value.string else { throw Self.wrong(name, "must be a string") }
      return text
    }
    func address() throws(ConfigurationError) -> String {
      let text = try string()
      guard ["tcp://", "ipc://"].contains(where: { text.hasPrefix($0) }) else {
        throw Self.wrong(name, "must be an address such as tcp://*:5557 or ipc:///run/events")
      }
      return text
    }
    switch name {
    case "enable_kv_cache_events":
      if value.bool == nil { throw Self.wrong(name, "must be true or false") }
    case "publisher": _ = try string()
    case "endpoint": endpoint = try address()
    case "replay_endpoint": replayEndpoint = value.isNull ? nil : try address()
    case "buffer_steps": bufferSteps = try integer(1...1_000_000)
    case "hwm": highWater = try integer(0...10_000_000)
    case "max_queue_size": maxQueueSize = try integer(1...10_000_000)
    default: topic = try string()
    }
  }

  private static func wrong(_ field: String, _ what: String) -> ConfigurationError {
    ConfigurationError(
      setting: "kv-events-config", message: "--kv-events-config\(field.isEmpty ? "" : ": \(field)") \(what)")
  }
}
