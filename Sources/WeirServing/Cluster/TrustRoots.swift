// Whose certificates are believed between members of a cluster.

import NIOSSL

/// The certificates of `--tls-ca-file`.
enum TrustRoots {
  /// The client's side of TLS; nil: what the client library does by itself.
  static func configuration(_ path: String?) -> TLSConfiguration? {
    guard let path else { return nil }
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.trustRoots = .file(path)
    return configuration
  }

  /// Reads the file once, so that a wrong one is an error at start and not at the first connection.
  ///
  /// - Throws: ``ConfigurationError``.
  static func check(_ path: String) throws(ConfigurationError) {
    let isRead = (try? NIOSSLCertificate.fromPEMFile(path))?.isEmpty == false
    guard isRead else {
      throw ConfigurationError(
        setting: "tls-ca-file", message: "--tls-ca-file \(path) is no PEM file with certificates that can be read")
    }
  }
}
