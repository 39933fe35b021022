// Prefill here, decode there: what the doors say and hear of it.

public import WeirBasics
public import WeirKVCache
public import WeirKVTransfer

/// What became of a ticket.
public struct ArrivalReport: Sendable, Equatable {
  /// Prompt tokens whose KV came from the other node; 0: none, this node computed the prompt.
  public var tokens: Int
  /// From the request's arrival to the KV's, or to the decision to compute.
  public var seconds: Double
  /// Why nothing was taken over, in one word, for example `checksum` or `peer_lost`; nil: all went well, or everything
  /// was in this node's prefix tree already.
  public var refusal: String?

  public init(tokens: Int, seconds: Double, refusal: String? = nil) {
    self.tokens = tokens
    self.seconds = seconds
    self.refusal = refusal
  }
}

/// Handoffs of one engine since its start, and those that are open now.
public struct HandoffReport: Sendable, Equatable {
  /// Where other nodes reach this one's transfer plane; empty: it has none.
  public var address = ""
  /// Finished prefills that wait to be fetched.
  public var held = 0
  /// Requests whose KV is on its way here.
  public var arriving = 0
  public var sent: UInt64 = 0
  /// Handoffs of this node that were not taken, by reason.
  public var sendFailures: [String: UInt64] = [:]
  /// Held KV that nobody fetched in time.
  public var expired: UInt64 = 0
  public var received: UInt64 = 0
  public var receivedTokens: UInt64 = 0
  public var receivedBytes: UInt64 = 0
  /// Requests that came with a ticket and were computed here after all, by reason.
  public var recomputed: [String: UInt64] = [:]
  /// What this node's own calls have moved to others, and what was copied for them on this side.
  public var transfer = TransferMeters()
  /// Messages of peers that were refused: repeated, late, of no handoff.
  public var refusedMessages: [String: UInt64] = [:]
  /// Messages that no sound node sends.
  public var faults: UInt64 = 0
  /// From a request's arrival to its KV's.
  public var arrivalSeconds = Histogram(bounds: Histogram.tokenSeconds).snapshot

  public init() {}
}

/// How an engine takes part in handoffs.
public struct HandoffOptions: Sendable {
  /// Makes the transport on the step-loop thread with these regions registered, in order. It calls the second argument,
  /// from any thread, when it has news.
  public typealias MakeTransport =
    @Sendable ([TransferMemory], _ onNews: @escaping @Sendable () -> Void) throws(TransportError) -> any Transport

  /// A number that no earlier process of this node used.
  public var incarnation: UInt64
  /// Everything that makes K and V of equal tokens equal; the loader computes it from the weights.
  public var modelFingerprint: UInt64 = 0
  /// How long the KV of a finished prefill is kept for its receiver, in seconds, above 0.
  public var holdSeconds = 30.0
  /// Most of the pool that may be kept for receivers, as a share over 0 and at most 1: who asks for tickets and never
  /// fetches must not stop the node. Beyond it no ticket is given, and the other node computes the prompt itself.
  public var holdShareLimit = 0.75
  /// After this time without progress a request that came with a ticket is computed here, in seconds, above 0.
  public var arrivalSeconds = 10.0
  /// A node that could not be reached is not tried again for this long, in seconds.
  public var retrySeconds = 1.0
  /// What transfers are taken to cost until enough of them are measured.
  public var costPriors = TransferCostModel.Priors.sharedMemory
  /// Bytes that a call of a streamed prefill carries at least; nil: as many as keep the cost of the call itself under a
  /// twentieth, as learnt.
  public var streamBytes: Int?
  /// Bytes of the area in which KV of another form is received and converted; nil: as much as the pool holds, at most
  /// 256 MiB. Memory is taken as it is first used.
  public var stagingBytes: Int?
  /// Room of a lost peer is kept for this long, see `HandoffConfiguration.quarantineSeconds`.
  public var quarantineSeconds = 5.0
  /// How KV is cut into calls, see `HandoffConfiguration.style`.
  public var style: @Sendable () -> TransferStyle = { TransferStyle() }
  /// Seals tickets, and tells those of the cluster from others.
  public var authenticator: PeerAuthenticator
  public var makeTransport: MakeTransport

  public init(incarnation: UInt64, authenticator: PeerAuthenticator, makeTransport: @escaping MakeTransport) {
    self.incarnation = incarnation
    self.authenticator = authenticator
    self.makeTransport = makeTransport
  }
}
