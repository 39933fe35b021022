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
  @Option(
    name: .customLong("transfer-host"),
    help: "Address at which other nodes reach the transfer plane (default: that of --host).")
  var transferHost: String?
  @Option(name: .customLong("transfer-path"), help: "How KV travels: tcp, or shm between processes of one machine.")
  var transferPath = UCXConfiguration.Path.tcp.rawValue
  @OptionGroup var secrets: SecretOptions
  @Option(name: .customLong("kv-lease-duration"), help: "Seconds that a prefill's KV is kept for its receiver.")
  var holdSeconds = 30.0
  @Option(name: .customLong("kv-arrival-timeout"), help: "Seconds after which a prompt is computed here after all.")
  var arrivalSeconds = 10.0

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

  /// This node's name.
  private func name() throws -> NodeID {
    let process = ProcessInfo.processInfo
    let id = NodeID(nodeID ?? "\(process.hostName.prefix(64))-\(process.processIdentifier)")
    guard NodeDescription.isValid(id) else {
      throw ValidationError("--node-id is \(id); it must be 1 to 128 of A-Z a-z 0-9 . _ -")
    }
    return id
  }

  /// Who this node is in its cluster.
  /// - Parameters:
  ///   - host: the address that the HTTP server binds.
  ///   - isRegistered: whether the node writes that address where others look for it.
  func identity(host: String, isRegistered: Bool) throws -> NodeIdentity {
    if isRegistered, Self.wildcards.contains(host) {
      throw ValidationError(
        "--host is \(host), which --etcd would tell others; give the address at which they reach it")
    }
    return NodeIdentity(
      id: try name(), role: try homeRole(), incarnation: Int(Date().timeIntervalSince1970 * 1000),
      secret: try secrets.secret())
  }

  /// Nil: this node is on its own.
  ///
  /// - Parameter host: the address that the HTTP server binds.
  func transport(host: String) throws -> NodeTransport? {
    _ = try homeRole()
    guard let path = UCXConfiguration.Path(rawValue: transferPath) else {
      throw ValidationError("--transfer-path is \(transferPath); it must be tcp or shm")
    }
    guard role != nil || transferPort != nil else { return nil }
    let address = transferHost ?? host
    guard !Self.wildcards.contains(address) else {
      throw ValidationError(
        "--transfer-host is \(transferHost ?? "that of --host, \(host)"); it must be an address at which other nodes "
          + "reach this one")
    }
    guard let secret = try secrets.secret() else {
      throw ValidationError(
        "a node of a cluster needs the cluster's secret: give --cluster-secret-file or set \(SecretOptions.variable)")
    }
    guard holdSeconds > 0, arrivalSeconds > 0 else {
      throw ValidationError("--kv-lease-duration and --kv-arrival-timeout must be above 0")
    }
    var transport = NodeTransport(secret: secret)
    transport.host = address
    transport.node = try name()
    transport.port = transferPort ?? 0
    transport.path = path
    transport.holdSeconds = holdSeconds
    transport.arrivalSeconds = arrivalSeconds
    return transport
  }
}
