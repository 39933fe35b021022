// The flags that every command with a router shares.

import ArgumentParser
import Logging
import WeirPolicies
import WeirServing

struct RoutingOptions: ParsableArguments {
  @Option(help: "Address to bind.") var host = "127.0.0.1"
  @Option(help: "Port to bind; 0 takes a free one.") var port = 8000
  @Option(help: "How requests are placed: round-robin, least-loaded, prefix-aware, load-aware.")
  var routing = RoutingKey.loadAware.rawValue
  @Option(name: .customLong("least-prefill-tokens"), help: "Shorter prompts are computed where they are decoded.")
  var leastPrefillTokens = 0
  @Flag(
    name: .customLong("stream-kv"),
    help: ArgumentHelp(
      "Send finished KV blocks while their prompt is computed: the decode node hears of a request when its prompt "
        + "begins and keeps room for it. A chunk of the prompt must take less than the nodes' --kv-arrival-timeout."))
  var streamsBlocks = false
  @OptionGroup var tls: TLSOptions
  @Option(
    help: "How roles follow the load: static, load-aware (default: load-aware where the cluster's secret is known).")
  var roles: String?
  @OptionGroup var secrets: SecretOptions
  @Option(name: .customLong("api-key"), help: "A key of the nodes, for the router's own questions to them.")
  var nodeKey: String?
  @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error.") var logLevel = "warning"

  func key() throws -> RoutingKey {
    guard let key = RoutingKey(rawValue: routing) else {
      throw ValidationError("--routing is \(routing); it must be one of \(RoutingKey.allCases.map(\.rawValue))")
    }
    return key
  }

  /// The router's settings as far as these flags say them.
  ///
  /// - Parameter secret: the cluster's; nil: the one that the flags name, if any.
  func configuration(secret given: ClusterSecret? = nil) throws -> RouterConfiguration {
    var configuration = RouterConfiguration()
    configuration.host = host
    configuration.port = port
    configuration.leastPrefillTokens = leastPrefillTokens
    configuration.streamsBlocks = streamsBlocks
    configuration.tlsCertificatePath = tls.certificate
    configuration.tlsKeyPath = tls.privateKey
    configuration.version = WeirVersion.text
    configuration.nodeKey = nodeKey
    let secret = try given ?? secrets.secret()
    configuration.secret = secret
    let name = roles ?? (secret == nil ? RolesKey.static : .loadAware).rawValue
    guard let key = RolesKey(rawValue: name) else {
      throw ValidationError("--roles is \(name); it must be one of \(RolesKey.allCases.map(\.rawValue))")
    }
    if key != .static { configuration.roles = RouterRoles(name: key.rawValue) { key.plan(firstEpoch: $0) } }
    return configuration
  }

  /// The line that is written when the router listens.
  func announcement(port: Int, _ configuration: RouterConfiguration) -> String {
    "router      listening on \(host):\(port), \(routing), roles \(configuration.roles?.name ?? RolesKey.static.rawValue)\n"
  }

  func logger() throws -> Logger {
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw ValidationError("--log-level is \(logLevel); it must be one of \(Logger.Level.allCases.map(\.rawValue))")
    }
    var logger = Logger(label: "weir") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }
}
