// A load report and a role directive as JSON documents.

public import WeirBasics

extension LoadReport {
  /// Version of the document, raised when an old reader would misread a new one.
  public static let wireVersion = 1
  /// Room for a thousand links.
  static let limitBytes = 262_144
  private static let rates = 1e-9...1e18

  /// The document that other nodes read. Counts that are 0 are written too: the document explains itself.
  public var json: JSONValue {
    [
      "version": JSONValue(Self.wireVersion),
      "node": JSONValue(node.rawValue),
      "incarnation": JSONValue(incarnation),
      "sequence": JSONValue(sequence),
      "role": JSONValue(role.rawValue),
      "draining": JSONValue(isDraining),
      "queues": [
        "running": JSONValue(queues.runningSequences), "waiting": JSONValue(queues.waitingRequests),
        "waiting_prompt_tokens": JSONValue(queues.waitingPromptTokens), "waiting_decodes": JSONValue(waitingDecodes),
        "sending": JSONValue(sendingRequests), "preempted": JSONValue(preemptedSequences),
      ],
      "kv": [
        "total_blocks": JSONValue(queues.totalBlocks), "free_blocks": JSONValue(queues.freeBlocks),
        "cached_blocks": JSONValue(queues.cachedBlocks), "promised_blocks": JSONValue(promisedBlocks),
      ],
      "steps": JSONValue(Int(clamping: queues.stepsCompleted)),
      "compute_utilisation": JSONValue(computeUtilisation),
      "memory_bandwidth_utilisation": JSONValue(memoryBandwidthUtilisation),
      "speeds": [
        "prefill_tokens": Self.json(speeds.prefillTokens), "decode_tokens": Self.json(speeds.decodeTokens),
        "decode_batch": JSONValue(speeds.decodeBatch),
        "links": .array(
          speeds.links.map { link in
            [
              "peer": JSONValue(link.peer.rawValue), "bytes_per_second": JSONValue(link.bytesPerSecond),
              "operation_seconds": JSONValue(link.operationSeconds),
            ]
          }),
      ],
    ]
  }

  private static func json(_ rate: MeasuredRate?) -> JSONValue {
    guard let rate else { return .null }
    return ["per_second": JSONValue(rate.perSecond), "age_seconds": JSONValue(rate.ageSeconds)]
  }

  /// Reads a report that another node wrote.
  ///
  /// - Parameter utf8: the whole document.
  /// - Returns: the report, every number in its range and every share in `0...1`.
  /// - Throws: ``WireError`` that names the field.
  public static func parse(utf8: [UInt8]) throws(WireError) -> LoadReport {
    let reader = try WireReader("load report", utf8: utf8, limitBytes: limitBytes, version: wireVersion)
    var report = LoadReport(
      node: try reader.node("node"), incarnation: try reader.int("incarnation", in: 0...Int.max),
      sequence: try reader.int("sequence", in: 0...Int.max), role: try reader.word("role", Role.self))
    report.isDraining = try reader.flag("draining")
    let queues = try reader.child("queues")
    report.queues.runningSequences = try queues.count("running")
    report.queues.waitingRequests = try queues.count("waiting")
    report.queues.waitingPromptTokens = try queues.count("waiting_prompt_tokens")
    report.waitingDecodes = try queues.count("waiting_decodes")
    report.sendingRequests = try queues.count("sending")
    report.preemptedSequences = try queues.count("preempted")
    let kv = try reader.child("kv")
    report.queues.totalBlocks = try kv.count("total_blocks")
    report.queues.freeBlocks = try kv.int("free_blocks", in: 0...report.queues.totalBlocks)
    report.queues.cachedBlocks = try kv.int(
      "cached_blocks", in: 0...(report.queues.totalBlocks - report.queues.freeBlocks))
    report.promisedBlocks = try kv.count("promised_blocks")
    report.queues.stepsCompleted = UInt64(try reader.int("steps", in: 0...Int.max))
    report.computeUtilisation = try reader.number("compute_utilisation", in: 0...1)
    report.memoryBandwidthUtilisation = try reader.number("memory_bandwidth_utilisation", in: 0...1)
    report.speeds = try speeds(try reader.child("speeds"))
    return report
  }

  private static func speeds(_ reader: WireReader) throws(WireError) -> MeasuredSpeeds {
    var links: [LinkSpeed] = []
    for link in try reader.children("links", limit: 4096) {
      links.append(
        LinkSpeed(
          peer: try link.node("peer"), bytesPerSecond: try link.number("bytes_per_second", in: rates),
          operationSeconds: try link.number("operation_seconds", in: 0...1e6)))
    }
    return MeasuredSpeeds(
      prefillTokens: try rate(try reader.optionalChild("prefill_tokens")),
      decodeTokens: try rate(try reader.optionalChild("decode_tokens")),
      decodeBatch: try reader.number("decode_batch", in: 0...1e6), links: links)
  }

  private static func rate(_ reader: WireReader?) throws(WireError) -> MeasuredRate? {
    guard let reader else { return nil }
    return MeasuredRate(
      perSecond: try reader.number("per_second", in: rates), ageSeconds: try reader.number("age_seconds", in: 0...1e12))
  }
}

extension RoleDirective {
  /// Version of the document, raised when an old reader would misread a new one.
  public static let wireVersion = 1
  /// Longest document in bytes.
  public static let limitBytes = 16_384
  private static let reasonLimitBytes = 4096

  /// The document that the node reads.
  public var json: JSONValue {
    var object = statementObject
    object["seal"] = JSONValue(seal)
    return .object(object)
  }

  /// The bytes that a seal is for: the document without its seal.
  public var statement: [UInt8] { JSONValue.object(statementObject).serializedBytes() }

  private var statementObject: JSONObject {
    [
      "version": JSONValue(Self.wireVersion), "node": JSONValue(node.rawValue), "incarnation": JSONValue(incarnation),
      "role": JSONValue(role.rawValue), "cycles": JSONValue(timeToLiveCycles), "epoch": JSONValue(epoch),
      // A scalar has at most four bytes; cut the same way twice, it stays the same.
      "reason": JSONValue(String(String.UnicodeScalarView(reason.unicodeScalars.prefix(Self.reasonLimitBytes / 4)))),
    ]
  }

  /// Reads a directive that a controller wrote.
  ///
  /// - Parameter utf8: the whole document.
  /// - Returns: the directive.
  /// - Throws: ``WireError`` that names the field.
  public static func parse(utf8: [UInt8]) throws(WireError) -> RoleDirective {
    let reader = try WireReader("role directive", utf8: utf8, limitBytes: limitBytes, version: wireVersion)
    var directive = RoleDirective(
      node: try reader.node("node"), role: try reader.word("role", Role.self),
      timeToLiveCycles: try reader.int("cycles", in: 1...longestLife),
      epoch: try reader.int("epoch", in: Int.min...Int.max),
      reason: try reader.text("reason", limitBytes: reasonLimitBytes, mayBeEmpty: true))
    // Documents of before these fields can be read; no node follows them.
    if reader.object.contains("incarnation") { directive.incarnation = try reader.int("incarnation", in: 0...Int.max) }
    if reader.object.contains("seal") {
      directive.seal = try reader.text("seal", limitBytes: 128, mayBeEmpty: true)
    }
    return directive
  }
}
