// weir cluster up: a whole cluster on this machine with one command.

import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals
import WeirCluster
import WeirPolicies
import WeirServing

struct ClusterCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster", abstract: "Start a cluster.", subcommands: [ClusterUpCommand.self])
}

struct ClusterUpCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Start prefill and decode nodes and a router on this machine; Ctrl-C stops them all.",
    discussion: "Flags of `weir serve` that are given after -- go to every node.")

  @Argument(help: "A GGUF file or a Hugging Face folder.") var model: String
  @OptionGroup var options: RoutingOptions
  @Option(help: "Nodes that prefill.") var prefill = 1
  @Option(help: "Nodes that decode.") var decode = 1
  @Option(help: "Nodes that do both.") var mixed = 0
  @Option(name: [.long, .customShort("t")], help: "Threads of each node (default: the cores, shared out).")
  var threads: Int?
  @Option(name: .customLong("transfer-path"), help: "How KV travels between the nodes: shm or tcp.")
  var transferPath = "shm"
  @Option(
    name: .customLong("tls-ca-file"),
    help: ArgumentHelp(
      "PEM certificates by which the router knows its nodes, which have --ssl-certfile too; it must be good for "
        + "127.0.0.1 (default: that certificate itself, as if it had signed itself)."))
  var trustRootsPath: String?
  @Argument(parsing: .postTerminator, help: "Flags for every node.") var nodeFlags: [String] = []

  func validate() throws {
    for (name, count) in [("prefill", prefill), ("decode", decode), ("mixed", mixed)] where !(0...64).contains(count) {
      throw ValidationError("--\(name) is \(count); it must be in 0...64")
    }
    guard prefill + decode + mixed > 0 else { throw ValidationError("a cluster has at least one node") }
  }

  func run() async throws {
    let routing = try options.key()
    let logger = try options.logger()
    let secret = try options.secrets.bytes() ?? Array(Self.drawnSecret().utf8)
    let nodes = try startNodes(secret: secret)
    defer { for node in nodes { node.terminate() } }
    do {
      var addresses: [RouterNode] = []
      let scheme = options.tls.certificate == nil ? "http://" : "https://"
      for node in nodes { addresses.append(RouterNode(url: scheme + (try await node.address()))) }
      try await route(addresses, routing, logger, nodes, secret: secret)
    } catch {
      await stop(nodes)
      throw error
    }
    await stop(nodes)
    Terminal.writeError("cluster     stopped\n")
  }

  /// A secret for the life of this cluster.
  private static func drawnSecret() -> String {
    var generator = SystemRandomNumberGenerator()
    return (0..<4).map { _ in String(generator.next(), radix: 16) }.joined(separator: "-")
  }

  private func startNodes(secret: [UInt8]) throws -> [ChildNode] {
    let roles =
      Array(repeating: Role.prefill, count: prefill) + Array(repeating: .decode, count: decode)
      + Array(repeating: .mixed, count: mixed)
    let each = threads ?? max(1, ProcessInfo.processInfo.activeProcessorCount / roles.count)
    // A file is read by each node itself: its bytes need not be text.
    let file = options.secrets.secretFile.map { ["--cluster-secret-file", $0] } ?? []
    let variables = file.isEmpty ? [SecretOptions.variable: String(decoding: secret, as: UTF8.self)] : [:]
    let tls = [("--ssl-certfile", options.tls.certificate), ("--ssl-keyfile", options.tls.privateKey)].flatMap {
      name, path in path.map { [name, $0] } ?? []
    }
    var nodes: [ChildNode] = []
    var counts: [Role: Int] = [:]
    for role in roles {
      counts[role, default: 0] += 1
      let name = "\(role.rawValue)-\(counts[role] ?? 0)"
      nodes.append(
        try ChildNode(
          name: name, role: role,
          arguments: [model, "--threads", "\(each)", "--transfer-path", transferPath, "--disable-web"] + file
            + tls + nodeFlags,
          environment: variables))
      Terminal.writeError("node        \(name) starts, \(each) threads\n")
    }
    return nodes
  }

  private func route(
    _ addresses: [RouterNode], _ routing: RoutingKey, _ logger: Logger, _ nodes: [ChildNode], secret: [UInt8]
  ) async throws {
    var configuration = try options.configuration(secret: try ClusterSecret(bytes: secret))
    configuration.nodes = addresses
    configuration.trustRootsPath = trustRootsPath ?? options.tls.certificate
    let (options, settled) = (self.options, configuration)
    let service = try RouterService(configuration: configuration, routing: routing.policy, logger: logger) { port in
      Terminal.writeError(options.announcement(port: port, settled))
    }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    let table = ClusterTable()
    let showing = Task {
      while !Task.isCancelled {
        table.show(service.nodes, service.counts, alive: nodes.map { ($0.name, $0.isRunning) })
        try? await Task.sleep(nanoseconds: 500_000_000)
      }
    }
    defer { showing.cancel() }
    try await group.run()
  }

  /// All at once, then each to its end.
  private func stop(_ nodes: [ChildNode]) async {
    for node in nodes { node.terminate() }
    for node in nodes { await node.finish(within: 15) }
  }
}
