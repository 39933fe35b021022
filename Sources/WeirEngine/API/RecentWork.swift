// The latest requests and handoffs of one engine, for people who look at a cluster: what took how long, and why.

public import WeirBasics

/// One request that has ended, as this engine saw it. Times are in seconds.
public struct RequestRecord: Sendable, Equatable {
  public var request: RequestID
  public var submitted: Instant
  /// From its submission to its admission; with a ticket this is the wait for KV of another node.
  public var queueSeconds: Double
  public var prefillSeconds: Double
  public var decodeSeconds: Double
  public var promptTokens: Int
  /// Prompt tokens that were in the prefix tree; what came from another node is in `arrival`.
  public var cachedTokens: Int
  public var completionTokens: Int
  /// What became of its ticket; nil: it came without one.
  public var arrival: ArrivalReport?
  /// Its KV is kept for another node.
  public var handsOver: Bool

  /// - Parameters:
  ///   - request: which.
  ///   - submitted: when it came, by the engine's clock.
  ///   - usage: what it used.
  ///   - arrival: what became of its ticket.
  public init(request: RequestID, submitted: Instant, usage: UsageReport, arrival: ArrivalReport?) {
    self.request = request
    self.submitted = submitted
    queueSeconds = usage.queueSeconds
    prefillSeconds = usage.prefillSeconds
    decodeSeconds = usage.decodeSeconds
    promptTokens = usage.promptTokens
    cachedTokens = usage.cachedTokens
    completionTokens = usage.completionTokens
    self.arrival = arrival
    handsOver = usage.handoff != nil
  }
}

/// One handoff to this engine that is over.
public struct HandoffRecord: Sendable, Equatable {
  public var request: RequestID
  /// `host:port` of the sender's transfer plane.
  public var sender: String
  public var ended: Instant
  /// From the request's arrival here to the KV's, or to the decision to compute.
  public var seconds: Double
  /// Tokens, bytes on the wire and runs of neighbouring blocks that came; 0 where nothing was taken.
  public var tokens: Int
  public var bytes: Int
  public var runs: Int
  /// Why nothing was taken, in one word; nil: tag and checksum were right, and the KV was taken over.
  public var refusal: String?

  public init(
    request: RequestID, sender: String, ended: Instant, seconds: Double, tokens: Int = 0, bytes: Int = 0, runs: Int = 0,
    refusal: String? = nil
  ) {
    self.request = request
    self.sender = sender
    self.ended = ended
    self.seconds = seconds
    self.tokens = tokens
    self.bytes = bytes
    self.runs = runs
    self.refusal = refusal
  }
}

/// The latest of both, oldest first.
public struct RecentWork: Sendable, Equatable {
  /// Most entries of each kind.
  public static let limit = 64
  public private(set) var requests: [RequestRecord] = []
  public private(set) var handoffs: [HandoffRecord] = []

  public init() {}

  public mutating func note(_ record: RequestRecord) { Self.append(record, to: &requests) }
  public mutating func note(_ record: HandoffRecord) { Self.append(record, to: &handoffs) }

  private static func append<Record>(_ record: Record, to list: inout [Record]) {
    if list.count == limit { list.removeFirst() }
    list.append(record)
  }
}
