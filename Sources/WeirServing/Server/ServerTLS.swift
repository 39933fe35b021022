// TLS on a port of ours: nodes and routers alike.

import HummingbirdCore
import HummingbirdTLS
import NIOSSL

/// The certificate and key of `--ssl-certfile` and `--ssl-keyfile`.
enum ServerTLS {
  /// - Throws: ``ConfigurationError`` if only one of the two is given.
  static func check(certificatePath: String?, keyPath: String?) throws(ConfigurationError) {
    guard (certificatePath == nil) == (keyPath == nil) else {
      throw ConfigurationError(
        setting: "tls", message: "TLS needs a certificate and a key: give both --ssl-certfile and --ssl-keyfile")
    }
  }

  /// `http` behind TLS; `http` itself if no certificate is given.
  ///
  /// - Throws: errors of the files.
  static func around(
    _ http: HTTPServerBuilder, certificatePath: String?, keyPath: String?
  ) throws -> HTTPServerBuilder {
    guard let certificatePath, let keyPath else { return http }
    let chain = try NIOSSLCertificate.fromPEMFile(certificatePath).map { NIOSSLCertificateSource.certificate($0) }
    let tls = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: keyPath, format: .pem)))
    return try .tls(http, tlsConfiguration: tls)
  }
}
