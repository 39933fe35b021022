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

  /// The key of seals; another one than of the transfer plane, so that nothing said there is one here.
  private var sealKey: SymmetricKey {
    SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array("weir-control-1".utf8), using: key))
  }

  private static func text(_ bytes: [UInt8], _ purpose: String) -> [UInt8] { Array(purpose.utf8) + [0] + bytes }

  /// Proves that somebody who knows the secret said `bytes`, for one purpose: 64 hexadecimal digits.
  public func seal(_ bytes: [UInt8], purpose: String) -> String {
    HandoffFields.hex(Array(HMAC<SHA256>.authenticationCode(for: Self.text(bytes, purpose), using: sealKey)))
  }

  /// Whether `seal` is the seal of `bytes` for this purpose; the time it takes tells nothing.
  public func accepts(_ seal: String, of bytes: [UInt8], purpose: String) -> Bool {
    KeyRing.equal(Array(seal.utf8), Array(self.seal(bytes, purpose: purpose).utf8))
  }

  /// What a router shows a node that protects its numbers, as the header `x-weir-peer`.
  var peerToken: String { seal(Array("numbers".utf8), purpose: "weir-peer-1") }

  /// Whether somebody who knows the secret showed this.
  func isPeer(_ token: String) -> Bool { accepts(token, of: Array("numbers".utf8), purpose: "weir-peer-1") }

  /// From which every node derives the same cache salt for the same API key; without it KV of one tenant could not be
  /// handed over.
  public var tenantSecret: [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: Array("weir-tenants-1".utf8), using: key))
  }
}
