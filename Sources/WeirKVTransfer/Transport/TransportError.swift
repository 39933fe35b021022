// Why a transport could not do what it was asked.

public import WeirBasics

/// A failure of the network, a peer, or a call that asks for what is not there.
public struct TransportError: WeirError, Hashable {
  /// What failed, for decisions.
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case deadlinePassed = "deadline_passed"
    case cancelled
    case peerLost = "peer_lost"
    case unknownPeer = "unknown_peer"
    case unknownRegion = "unknown_region"
    case outOfBounds = "out_of_bounds"
    case tooLarge = "too_large"
    case unreachable
    case unauthenticated
    case protocolFault = "protocol_fault"
    case unavailable
    case closed
  }

  public let kind: Kind
  public let message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var code: String { "kv_transport_\(kind.rawValue)" }
}
