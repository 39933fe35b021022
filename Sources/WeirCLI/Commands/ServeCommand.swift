// weir serve: load a model and open the doors.

import ArgumentParser
import Foundation
import Logging
import Weir
import WeirBasics
import WeirEngine
import WeirServing

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a model over the OpenAI and Anthropic APIs, with a web page at /.",
    discussion:
      "Every flag is also an environment variable, WEIR_ and the flag in capitals (WEIR_MAX_MODEL_LEN), and a "
      + "line of the --config file. The command line wins over the environment, the environment over the file.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var policy: PolicyOptions
  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var registry: RegistryOptions
  @Option(help: "Address to bind.") var host = "127.0.0.1"
  @Option(help: "Port to bind; 0 takes a free one.") var port = 8000
  @Option(name: .customLong("api-key"), help: "A key that clients must show; may be given several times.")
  var keys: [String] = []
  @Option(name: .customLong("api-key-file"), help: "A file with one key per line.") var keyFile: String?
  @Option(name: .customLong("admin-key"), help: "The key for administrative routes.") var adminKey: String?
  @OptionGroup var tls: TLSOptions
  @Option(name: .customLong("shutdown-timeout"), help: "Seconds that running requests get after SIGTERM.")
  var shutdownTimeout = 30.0
  @Option(name: .customLong("max-body-bytes"), help: "Largest request body.") var maxBodyBytes = 32 << 20
  @Option(name: .customLong("allowed-origin"), help: "Origin that browsers may call from; may be given several times.")
  var origins: [String] = []
  @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error.") var logLevel = "info"
  @Flag(name: .customLong("disable-web"), help: "Do not serve the web page.") var disableWeb = false
  @Flag(name: .customLong("disable-access-log"), help: "No log line per request.") var disableAccessLog = false
  @Flag(
    name: .customLong("protect-metrics"),
    help:
      "Ask for a key on /metrics too, and on /weir/node and /weir/requests for a key or the cluster's secret. A router shows its nodes' numbers to whoever reaches it."
  )
  var protectMetrics = false
  @Flag(name: .customLong("share-cache-between-keys"), help: "Let all API keys share one prefix cache.")
  var sharesCache = false
  @Option(
    name: .customLong("kv-events-config"),
    help: ArgumentHelp(
      "Publish KV events over ZeroMQ: vLLM's JSON, for example {\"enable_kv_cache_events\": true, \"endpoint\": "
        + "\"tcp://*:5557\", \"replay_endpoint\": \"tcp://*:5558\"}. Subscribers see the tokens of cached prompts."))
  var eventsConfig: String?
  @Flag(
    help: ArgumentHelp(
      "Print one line of JSON with the addresses on standard output when the server listens, and stop when standard "
        + "input ends: for programs that start nodes."))
  var announce = false
  @Flag(name: .customLong("dry-run"), help: "Print the resolved configuration and the memory plan, then stop.")
  var dryRun = false

  func run() async throws {
    var serving = try servingConfiguration()
    let transport = try cluster.transport(host: host)
    if let transport {
      serving.tenantSecret = transport.secret.tenantSecret
      serving.node = try cluster.identity(host: host, isRegistered: registry.etcd != nil)
    } else if registry.etcd != nil {
      throw ValidationError("--etcd is for nodes of a cluster; give --role or --transfer-port too")
    }
    let eventsConfiguration = try eventsConfig.flatMap { try EventsConfiguration(json: $0) }
    let engine = try model.load(policy: policy) { configuration in
      configuration.handoff = transport?.handoffOptions()
      guard let eventsConfiguration, !dryRun else { return }
      let events = try EventPublisher(configuration: eventsConfiguration, blockSlots: configuration.blockSlots)
      configuration.onKVEvents = { events.take($0) }
      serving.events = events
    }
    Terminal.writeError(planText(engine))
    if transport != nil { Terminal.writeError("transfer    \(await engine.status().handoffs.address)\n") }
    if dryRun { return }
    if let events = serving.events { Terminal.writeError("KV events   \(events.endpoint)\n") }
    var logger = Logger(label: "weir") { StreamLogHandler.standardError(label: $0) }
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw ValidationError("--log-level is \(logLevel); it must be one of \(Logger.Level.allCases.map(\.rawValue))")
    }
    logger.logLevel = level
    if announce { stopWithParent() }
    let transfer = await engine.status().handoffs.address
    let started = serving
    try await registry.with { [announce, host, logger] place in
      var configuration = started
      if configuration.node != nil { configuration.registry = place }
      try await WeirServer.run(configuration: configuration, engine: engine, logger: logger) { port in
        let places: JSONValue = ["http": .string("\(host):\(port)"), "transfer": .string(transfer)]
        if announce { Terminal.write("\(places.serialized())\n") }
      }
    }
    await serving.events?.close()
  }

  /// A node that was started by a program ends when that program ends: the end of its standard input says so.
  private func stopWithParent() {
    Thread.detachNewThread {
      while let data = try? FileHandle.standardInput.read(upToCount: 4096), !data.isEmpty {}
      kill(getpid(), SIGTERM)
    }
  }

  private func servingConfiguration() throws -> ServingConfiguration {
    var configuration = ServingConfiguration()
    configuration.host = host
    configuration.port = port
    configuration.apiKeys = keys + (try keyFile.map(Self.keys(inFile:)) ?? [])
    configuration.adminKey = adminKey
    configuration.tlsCertificatePath = tls.certificate
    configuration.tlsKeyPath = tls.privateKey
    configuration.drainTimeoutSeconds = shutdownTimeout
    configuration.maxBodyBytes = maxBodyBytes
    configuration.allowedOrigins = origins
    configuration.servesWeb = !disableWeb
    configuration.accessLog = !disableAccessLog
    configuration.protectsMetrics = protectMetrics
    configuration.isolatesTenants = !sharesCache
    configuration.version = WeirVersion.text
    try configuration.validate()
    return configuration
  }

  private static func keys(inFile path: String) throws -> [String] {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw ValidationError("--api-key-file \(path): the file cannot be read")
    }
    return text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter {
      !$0.isEmpty && !$0.hasPrefix("#")
    }
  }

  private func planText(_ engine: Engine) -> String {
    let plan = engine.memoryPlan
    let information = engine.information
    return """
      model       \(information.modelName) (\(information.architecture)), context \(information.contextLength) tokens
      kernels     \(information.instructionSet), \(information.threads) threads
      weights     \(Terminal.bytes(plan.weightBytes))
      KV pool     \(Terminal.bytes(plan.kvBytes)): \(plan.blocks) blocks of \(information.blockSlots) tokens, \(Terminal.bytes(plan.tokenBytes)) per token (\(information.keyType.rawValue) keys, \(information.valueType.rawValue) values)
      workspace   \(Terminal.bytes(plan.workspaceBytes))
      program     \(Terminal.bytes(plan.programBytes))
      in all      \(Terminal.bytes(plan.totalBytes)) at most
      reuse       prompts share KV from the first \(information.prefixCaching ? "common token, in blocks of \(information.blockSlots)" : "token never: the prefix cache is off")
      KV policy   \(information.kvPolicy ?? "full") unless a request names another with kv_policy

      """
  }
}
