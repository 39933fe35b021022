// The router as a service: it watches its nodes and answers clients.

import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
import UnixSignals
import WeirBasics
public import WeirCluster

/// An OpenAI-compatible door in front of several nodes.
public struct RouterService: Service {
  private let state: RouterState
  private let application: Application<RouterResponder<ServingContext>>
  private let bound = BoundPort()

  /// - Parameters:
  ///   - configuration: address and nodes.
  ///   - routing: places requests.
  ///   - logger: gets the router's own messages.
  ///   - environment: clock and identifiers.
  ///   - onReady: called with the port when the router listens.
  /// - Throws: `ConfigurationError`, errors of the certificate files.
  public init(
    configuration: RouterConfiguration, routing: any Routing, logger: Logger,
    environment: ServingEnvironment = ServingEnvironment(),
    onReady: @escaping @Sendable (Int) async -> Void = { _ in }
  ) throws {
    try configuration.validate()
    state = RouterState(
      configuration: configuration, routing: routing, environment: environment, logger: logger)
    let router = Router(context: ServingContext.self)
    router.add(middleware: EdgeMiddleware(settings: state.edge))
    RouterRoutes(state: state).add(to: router)
    WebRoutes(files: WebFiles.router).add(to: router)
    let bound = self.bound
    application = Application(
      router: router,
      server: try ServerTLS.around(
        .http1(configuration: HTTP1Channel.Configuration(additionalChannelHandlers: [ConnectionWatch()])),
        certificatePath: configuration.tlsCertificatePath, keyPath: configuration.tlsKeyPath),
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port), serverName: "weir-router"),
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? configuration.port
        bound.set(port)
        await onReady(port)
      }, logger: logger)
  }

  /// The port the router listens on; nil before it does.
  public var port: Int? { bound.value }

  /// Every configured node with what is known of it.
  public var nodes: [RouterNodeView] { state.nodes }
  public var counts: RouterCounts { state.counts }
  /// What was decided about roles.
  public var roles: RoleBook { state.roles }

  /// Serves until graceful shutdown or cancellation.
  public func run() async throws {
    let configuration = state.configuration
    try await withThrowingTaskGroup(of: Void.self) { group in
      for node in configuration.nodes { group.addTask { await watch(node) } }
      if let registry = configuration.registry {
        group.addTask { for await event in await registry.watch() { state.take(event) } }
        group.addTask { await watchMembers() }
      }
      if let roles = configuration.roles, let secret = configuration.secret {
        group.addTask { await RoleController(state: state, roles: roles, secret: secret).run() }
      }
      let server = Task { try await application.run() }
      do {
        try await withTaskCancellationHandler {
          try await server.value
        } onCancel: {
          server.cancel()
        }
      } catch {
        group.cancelAll()
        await state.upstream.shutdown()
        guard bound.value == nil else { throw error }
        throw ListenError(error, host: configuration.host, port: configuration.port) ?? error
      }
      group.cancelAll()
    }
    await state.upstream.shutdown()
  }

  /// Runs a router until SIGTERM or SIGINT.
  ///
  /// - Throws: `ConfigurationError` and `ListenError`.
  public static func run(
    configuration: RouterConfiguration, routing: any Routing, logger: Logger,
    onReady: @escaping @Sendable (Int) async -> Void = { _ in }
  ) async throws {
    let service = try RouterService(
      configuration: configuration, routing: routing, logger: logger, onReady: onReady)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
  }

  /// Asks one node how it is, again and again.
  private func watch(_ node: RouterNode) async {
    while !Task.isCancelled {
      await ask(node)
      try? await Task.sleep(nanoseconds: UInt64(state.configuration.pollSeconds * 1e9))
    }
  }

  /// Asks members themselves while the registry brings no reports of them: without any, what was placed on a node would
  /// never be known to have ended, and a node that is idle would be taken for full.
  private func watchMembers() async {
    while !Task.isCancelled {
      await withTaskGroup(of: Void.self) { group in
        for node in state.silentMembers(longerThan: 2 * NodeMember.reportSeconds) { group.addTask { await ask(node) } }
      }
      try? await Task.sleep(nanoseconds: UInt64(state.configuration.pollSeconds * 1e9))
    }
  }

  private func ask(_ node: RouterNode) async {
    do throws(UpstreamError) {
      let (answer, bytes) = try await state.upstream.exchange(
        "GET", node.url + "/weir/node", headers: state.credentials, timeoutSeconds: 2)
      if let (description, report) = Self.read(answer, bytes) {
        state.heard(description, report, from: node)
      } else {
        state.logger.warning("no node of this cluster", metadata: ["url": "\(node.url)", "status": "\(answer.status)"])
      }
    } catch {
      if !Task.isCancelled { state.silent(node) }
    }
  }

  private static func read(_ answer: UpstreamAnswer, _ bytes: [UInt8]) -> (NodeDescription, LoadReport)? {
    guard answer.status == 200, let object = (try? JSONValue.parse(utf8: bytes))?.object,
      let description = object["description"], let report = object["report"],
      let known = try? NodeDescription.parse(utf8: description.serializedBytes()),
      let load = try? LoadReport.parse(utf8: report.serializedBytes())
    else { return nil }
    return (known, load)
  }
}
