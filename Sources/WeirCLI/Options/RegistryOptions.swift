// The flags that say where the members of a cluster find each other.

import ArgumentParser
import WeirCluster
import WeirServing

struct RegistryOptions: ParsableArguments {
  @Option(help: "The cluster's etcd, http://host:port; several separated by commas.") var etcd: String?
  @Option(name: .customLong("cluster-name"), help: "The cluster's name in etcd.") var clusterName = "default"

  @Option(
    name: .customLong("tls-ca-file"),
    help: "PEM certificates by which etcd and nodes with https:// addresses are known (default: the system's).")
  var trustRootsPath: String?

  /// Runs `body` with the registry, if there is one, and closes its connections.
  func with(_ body: ((any Registry)?) async throws -> Void) async throws {
    guard let etcd else { return try await body(nil) }
    let exchange = try HTTPClientExchange(servers: etcd, trustRootsPath: trustRootsPath)
    do {
      try await body(try EtcdRegistry(exchange: exchange, cluster: clusterName))
    } catch {
      await exchange.shutdown()
      throw error
    }
    await exchange.shutdown()
  }
}
