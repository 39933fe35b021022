// What a client or router carries from the node that prefilled to the node that goes on.

public import WeirBasics

/// Where the KV of a finished prefill is kept, and under which name. Whoever continues the request shows it.
///
/// It passes through hands that are not the cluster's, so it is sealed: a node connects only to addresses that a node
/// of the cluster has written.
public struct HandoffTicket: Sendable, Hashable {
  /// The sender's name of it; good for one fetch.
  public var id: HandoffID
  /// The request that the KV was computed for, as the sender calls it.
  public var request: RequestID
  /// `host:port` of the sender's transfer plane.
  public var address: String
  /// Prompt tokens whose KV is kept: all but the last, which the receiver computes again for its logits; all
  /// of them under a KV policy.
  public var tokens: Int
  /// Authentication code over everything above.
  public var seal: [UInt8] = []
  /// The sender's blocks, for people: nothing is addressed by them.
  public var blocks: [BlockID] = []

  public init(id: HandoffID, request: RequestID, address: String, tokens: Int) {
    self.id = id
    self.request = request
    self.address = address
    self.tokens = tokens
  }

  /// The ticket with its seal.
  public func sealed(by authenticator: PeerAuthenticator) -> HandoffTicket {
    var ticket = self
    ticket.seal = authenticator.code(of: sealedBytes, purpose: Self.purpose)
    return ticket
  }

  /// Whether a node that knows the secret has sealed exactly this ticket.
  public func isSealed(by authenticator: PeerAuthenticator) -> Bool {
    authenticator.accepts(seal, of: sealedBytes, purpose: Self.purpose)
  }

  private static let purpose = "weir-ticket-1"

  private var sealedBytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(id.incarnation)
    writer.put(id.number)
    writer.put(request.rawValue)
    writer.put(address)
    writer.put(UInt64(bitPattern: Int64(tokens)))
    return writer.bytes
  }
}
