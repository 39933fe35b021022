// Who may call: keys are kept and compared as digests, so that neither time nor memory tells them.

import Crypto
import WeirBasics

/// The server's API keys.
struct KeyRing: Sendable {
  private let clientDigests: [[UInt8]]
  private let adminDigest: [UInt8]?
  private let secret: SymmetricKey
  private let isolatesTenants: Bool

  init(configuration: ServingConfiguration, environment: ServingEnvironment) {
    clientDigests = configuration.apiKeys.map(KeyRing.digest)
    adminDigest = configuration.adminKey.map(KeyRing.digest)
    isolatesTenants = configuration.isolatesTenants
    var bytes = configuration.tenantSecret
    while bytes.count < 32 && configuration.tenantSecret.isEmpty {
      let bits = environment.randomBits()
      bytes += (0..<8).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
    }
    secret = SymmetricKey(data: bytes)
  }

  var asksForKeys: Bool { !clientDigests.isEmpty }
  var hasAdminKey: Bool { adminDigest != nil }

  func isClient(_ key: String) -> Bool {
    let digest = KeyRing.digest(key)
    // Every key is compared, so that the time does not tell which one came close.
    var found = false
    for known in clientDigests where KeyRing.equal(known, digest) { found = true }
    return found
  }

  func isAdmin(_ key: String) -> Bool {
    guard let adminDigest else { return false }
    return KeyRing.equal(adminDigest, KeyRing.digest(key))
  }

  /// The part of the cache salt that stands for `key`: HMAC-SHA-256 under the server's secret, 16 bytes in hex.
  func salt(for key: String) -> String {
    guard isolatesTenants else { return "" }
    let code = HMAC<SHA256>.authenticationCode(for: Array(key.utf8), using: secret)
    return code.prefix(16).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  private static func digest(_ key: String) -> [UInt8] { Array(SHA256.hash(data: Array(key.utf8))) }

  /// Compares all bytes, whatever they are.
  static func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
  }
}
