// What all requests share.

import Logging
import Synchronization
import WeirBasics
import WeirEngine

/// One per server; everything in it is a value or guarded.
final class ServingState: Sendable {
  let configuration: ServingConfiguration
  let engine: any TextEngine
  let environment: ServingEnvironment
  let keys: KeyRing
  let active: ActiveRequests
  let responses: ResponseStore
  let logger: Logger
  let created: Int
  private let draining = Mutex(false)
  let statuses = StatusCounters()
  /// Set when the server listens.
  let bound = BoundPort()
  let reporter: NodeReporter?
  /// Another one with every start.
  let instanceID: String

  init(
    configuration: ServingConfiguration, engine: any TextEngine, environment: ServingEnvironment, logger: Logger
  ) {
    self.configuration = configuration
    self.engine = engine
    self.environment = environment
    self.logger = logger
    keys = KeyRing(configuration: configuration, environment: environment)
    active = ActiveRequests(limit: configuration.maxConcurrentRequests)
    responses = ResponseStore(limit: configuration.storedResponses)
    created = environment.unixSeconds()
    instanceID = environment.identifier()
    reporter = configuration.node.map { NodeReporter(identity: $0, clock: environment.clock, logger: logger) }
  }

  var edge: EdgeSettings {
    EdgeSettings(
      environment: environment, logger: logger, accessLog: configuration.accessLog,
      allowedOrigins: configuration.allowedOrigins, maxBodyBytes: configuration.maxBodyBytes,
      retryAfterSeconds: configuration.retryAfterSeconds, statuses: statuses)
  }

  /// `host:port` that this server is bound to, behind `https://` if it speaks TLS.
  var boundAddress: String {
    let scheme = configuration.tlsCertificatePath == nil ? "" : "https://"
    return "\(scheme)\(configuration.host):\(bound.value ?? configuration.port)"
  }

  var isDraining: Bool { draining.withLock { $0 } }
  func beginDraining() { draining.withLock { $0 = true } }

  var information: EngineInformation { engine.information }

  var limits: DecodingLimits {
    DecodingLimits(
      vocabulary: information.vocabularySize, contextLength: information.contextLength,
      maxChoices: configuration.maxChoices, maxLogprobs: configuration.maxLogprobs,
      tokenizer: information.tokenizer)
  }

  /// Refuses names of other models; a missing name means the model that is here.
  func checkModel(_ name: String?) throws(APIError) {
    guard let name, name != information.modelName, !information.modelAliases.contains(name) else { return }
    throw .modelNotFound(name, serving: information.modelName)
  }
}

/// Answers by status, for the metrics.
final class StatusCounters: Sendable {
  private let counts = Mutex<[Int: UInt64]>([:])
  func count(_ status: Int) { counts.withLock { $0[status, default: 0] += 1 } }
  var all: [Int: UInt64] { counts.withLock { $0 } }
}
