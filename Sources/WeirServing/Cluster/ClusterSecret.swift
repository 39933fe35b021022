// The secret that all nodes of a cluster share: who knows it may hand KV over.

import Crypto
public import WeirKVTransfer

/// A shared secret with what is derived from it.
public struct ClusterSecret: Sendable {
  /// Fewest bytes of a secret.
  public static let leastBytes = 16
  private let key: SymmetricKey

  /// - Throws: ``ConfigurationError`` for a secret that is too short to be one.
  public init(bytes: [UInt8]) throws(ConfigurationError) {
    guard bytes.count >= Self.leastBytes else {
      throw ConfigurationError(
        setting: "cluster-secret",
        message: "the cluster secret has \(bytes.count) bytes; it must have at least \(Self.leastBytes)")
    }
    key = SymmetricKey(data: bytes)
  }

  /// Proofs and seals: HMAC-SHA256.
  public var authenticator: PeerAuthenticator {
    PeerAuthenticator { [key] bytes in Array(HMAC<SHA256>.authenticationCode(for: bytes, using: key)) }
  }

  /// From which every node derives the same cache salt for the same API key; without it KV of one tenant could not be
  /// handed over.
  public var tenantSecret: [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: Array("weir-tenants-1".utf8), using: key))
  }
}
