// Puts the server together and runs it as a service.

import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle
import Synchronization
import UnixSignals
import WeirBasics
public import WeirEngine

/// The HTTP server of one engine.
public enum WeirServer {
  /// Runs a server until SIGTERM or SIGINT, then drains: new requests get 503 with `Retry-After`, running ones may
  /// end within the configured time.
  ///
  /// - Throws: `ConfigurationError`, errors of the certificate files, and `ListenError`.
  public static func run(
    configuration: ServingConfiguration, engine: any TextEngine, logger: Logger,
    environment: ServingEnvironment = ServingEnvironment(),
    onReady: @escaping @Sendable (Int) async -> Void = { _ in }
  ) async throws {
    let service = try ServerService(
      configuration: configuration, engine: engine, logger: logger, environment: environment, onReady: onReady)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
    try await group.run()
  }
}

/// The server as a value for a `ServiceGroup`.
public struct ServerService: Service {
  private let state: ServingState
  private let application: Application<RouterResponder<ServingContext>>

  /// - Parameters:
  ///   - configuration: address, limits and keys.
  ///   - engine: generates the answers.
  ///   - logger: gets a line per request and the server's own messages.
  ///   - environment: clock and identifiers.
  ///   - onReady: called with the port when the server listens.
  public init(
    configuration: ServingConfiguration, engine: any TextEngine, logger: Logger,
    environment: ServingEnvironment = ServingEnvironment(),
    onReady: @escaping @Sendable (Int) async -> Void = { _ in }
  ) throws {
    try configuration.validate()
    state = ServingState(configuration: configuration, engine: engine, environment: environment, logger: logger)
    let bound = state.bound
    application = Application(
      router: ServerService.router(state),
      server: try ServerService.channel(configuration),
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port), serverName: "weir",
        availableConnectionsDelegate: MaximumAvailableConnections(configuration.maxConnections, logger: logger)),
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? configuration.port
        bound.set(port)
        await onReady(port)
      }, logger: logger)
  }

  /// The port the server listens on; nil before it does.
  public var port: Int? { state.bound.value }

  static func router(_ state: ServingState) -> Router<ServingContext> {
    let router = Router(context: ServingContext.self)
    router.add(middleware: EdgeMiddleware(settings: state.edge))
    router.add(middleware: GateMiddleware(state: state))
    ChatRoutes(state: state).add(to: router)
    CompletionRoutes(state: state).add(to: router)
    MessageRoutes(state: state).add(to: router)
    ResponseRoutes(state: state).add(to: router)
    TokenRoutes(state: state).add(to: router)
    ModelRoutes(state: state).add(to: router)
    AdminRoutes(state: state).add(to: router)
    NodeRoutes(state: state).add(to: router)
    if state.configuration.servesWeb { WebRoutes(files: WebFiles.all).add(to: router) }
    return router
  }

  private static func channel(_ configuration: ServingConfiguration) throws -> HTTPServerBuilder {
    let http = HTTPServerBuilder.http1(
      configuration: HTTP1Channel.Configuration(
        additionalChannelHandlers: [ConnectionWatch()],
        idleTimeout: .nanoseconds(Int64(configuration.idleTimeoutSeconds * 1e9)),
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: configuration.maxHeaderBytes, maxHeaderListSize: configuration.maxHeaderBytes)))
    return try ServerTLS.around(
      http, certificatePath: configuration.tlsCertificatePath, keyPath: configuration.tlsKeyPath)
  }

  /// Serves until graceful shutdown or cancellation, and is a member of its cluster meanwhile.
  public func run() async throws {
    guard let member = NodeMember(state) else { return try await serve() }
    let membership = Task { await member.run() }
    do {
      try await serve()
    } catch {
      membership.cancel()
      throw error
    }
    membership.cancel()
    await membership.value
  }

  /// Hummingbird closes its listening socket at the first sign of a shutdown; clients would see refused connections
  /// instead of an answer. So it runs in a group of its own that is told only after the engine has drained.
  private func serve() async throws {
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(services: [application], logger: state.logger))
    let state = self.state
    let isListening = { state.bound.value != nil }
    let running = Task.detached {
      do {
        try await group.run()
      } catch {
        guard !isListening() else { throw error }
        let configuration = state.configuration
        throw ListenError(error, host: configuration.host, port: configuration.port) ?? error
      }
    }
    try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        try await running.value
      } onGracefulShutdown: {
        state.beginDraining()
        Task.detached {
          let seconds = state.configuration.drainTimeoutSeconds
          state.logger.info("draining", metadata: ["timeout": "\(seconds)"])
          await state.engine.drain(timeoutSeconds: seconds)
          await group.triggerGracefulShutdown()
          // Readers that do not take their answers must not hold the process.
          try? await Task.sleep(nanoseconds: 5_000_000_000)
          running.cancel()
        }
      }
    } onCancel: {
      running.cancel()
    }
  }
}

/// The port, once known.
final class BoundPort: Sendable {
  private let port = Mutex<Int?>(nil)
  var value: Int? { port.withLock { $0 } }
  func set(_ value: Int) { port.withLock { $0 = value } }
}
