// The flags of a node that takes part in a cluster.

import ArgumentParser
import Foundation
import WeirBasics
import WeirCluster
import WeirKVTransfer
import WeirServing

struct ClusterOptions: ParsableArguments {
  @Option(help: "What this node prefers to do in a cluster: prefill, decode, mixed. Turns handoffs of KV on.")
  var role: String?
  @Option(name: .customLong("node-id"), help: "This node's name in the cluster (default: host and process).")
  var nodeID: String?
  @Option(name: .customLong("transfer-port"), help: "Port for KV; 0 takes a free one. Turns handoffs on.")
  var transferPort: UInt16?
  @Option(name: .customLong("transfer-host"), help: "Address at which other nodes reach the transfer plane.")
  var transferHost = "127.0.0.1"
  @Option(name: .customLong("transfer-path"), help: "How KV travels: tcp, or shm between processes of one machine.")
  var transferPath = UCXConfiguration.Path.tcp.rawValue
  @Option(name: .customLong("cluster-secret-file"), help: "A file with the secret that all nodes of the cluster share.")
  var secretFile: String?
  @Option(name: .customLong("kv-lease-duration"), help: "Seconds that a prefill's KV is kept for its receiver.")
  var holdSeconds = 30.0
  @Option(name: .customLong("kv-arrival-timeout"), help: "Seconds after which a prompt is computed here after all.")
  var arrivalSeconds = 10.0

  /// The variable that holds the secret where there is no file.
  static let secretVariable = "WEIR_CLUSTER_SECRET"

  /// The role that was given, mixed if handoffs are on without one.
  func homeRole() throws -> Role {
    guard let role else { return .mixed }
    guard let known = Role(rawValue: role) else {
      throw ValidationError("--role is \(role); it must be one of \(Role.allCases.map(\.rawValue))")
    }
    return known
  }

  /// Addresses that mean "all of this machine", at which nobody else reaches it.
  private static let wildcards: Set<String> = ["", "0.0.0.0", "::", "[::]"]

  /// Who this node is in its cluster.
  /// - Parameters:
  ///   - host: the address that the HTTP server binds.
  ///   - isRegistered: whether the node writes that address where others look for it.
  func identity(host: String, isRegistered: Bool) throws -> NodeIdentity {
    if isRegistered, Self.wildcards.contains(host) {
      throw ValidationError(
        "--host is \(host), which --etcd would tell others; give the address at which they reach it")
    }
    let process = ProcessInfo.processInfo
    let id = NodeID(nodeID ?? "\(process.hostName.prefix(64))-\(process.processIdentifier)")
    guard NodeDescription.isValid(id) else {
      throw ValidationError("--node-id is \(id); it must be 1 to 128 of A-Z a-z 0-9 . _ -")
    }
    return NodeIdentity(id: id, role: try homeRole(), incarnation: Int(Date().timeIntervalSince1970 * 1000))
  }

  /// Nil: this node is on its own.
  func transport() throws -> NodeTransport? {
    _ = try homeRole()
    guard let path = UCXConfiguration.Path(rawValue: transferPath) else {
      throw ValidationError("--transfer-path is \(transferPath); it must be tcp or shm")
    }
    guard role != nil || transferPort != nil else { return nil }
    guard !Self.wildcards.contains(transferHost) else {
      throw ValidationError(
        "--transfer-host is \(transferHost); it must be an address at which other nodes reach this one")
    }
    guard let secret = try secret() else {
      throw ValidationError(
        "a node of a cluster needs the cluster's secret: give --cluster-secret-file or set \(Self.secretVariable)")
    }
    guard holdSeconds > 0, arrivalSeconds > 0 else {
      throw ValidationError("--kv-lease-duration and --kv-arrival-timeout must be above 0")
    }
    var transport = NodeTransport(secret: secret)
    transport.host = transferHost
    transport.port = transferPort ?? 0
    transport.path = path
    transport.holdSeconds = holdSeconds
    transport.arrivalSeconds = arrivalSeconds
    return transport
  }

  private func secret() throws -> ClusterSecret? {
    if let secretFile {
      guard let data = FileManager.default.contents(atPath: secretFile) else {
        throw ValidationError("--cluster-secret-file \(secretFile): the file cannot be read")
      }
      return try ClusterSecret(bytes: Self.trimmed(Array(data)))
    }
    guard let text = ProcessInfo.processInfo.environment[Self.secretVariable] else { return nil }
    return try ClusterSecret(bytes: Self.trimmed(Array(text.utf8)))
  }

  /// Editors put a line end behind a secret.
  private static func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    while let last = bytes.last, last == 0x0A || last == 0x0D || last == 0x20 { bytes.removeLast() }
    return bytes
  }
}
