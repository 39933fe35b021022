// The secret that all members of a cluster share, from a file or from the environment.

import ArgumentParser
import Foundation
import WeirServing

struct SecretOptions: ParsableArguments {
  @Option(name: .customLong("cluster-secret-file"), help: "A file with the secret that all nodes of the cluster share.")
  var secretFile: String?

  /// The variable that holds the secret where there is no file.
  static let variable = "WEIR_CLUSTER_SECRET"

  /// Nil: none was given.
  func secret() throws -> ClusterSecret? { try bytes().map { try ClusterSecret(bytes: $0) } }

  /// The secret itself, for nodes that are started from here.
  func bytes() throws -> [UInt8]? {
    if let secretFile {
      guard let data = FileManager.default.contents(atPath: secretFile) else {
        throw ValidationError("--cluster-secret-file \(secretFile): the file cannot be read")
      }
      return Self.trimmed(Array(data))
    }
    return ProcessInfo.processInfo.environment[Self.variable].map { Self.trimmed(Array($0.utf8)) }
  }

  /// Editors put a line end behind a secret.
  private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    while let last = bytes.last, last == 0x0A || last == 0x0D || last == 0x20 { bytes.removeLast() }
    return bytes
  }
}
