// A server over a scripted engine on a free port, for every test of this room.

import Logging
import ServiceLifecycle
import Synchronization
import WeirBasics
import WeirEngine
import WeirServing
import WeirTestSupport
import WeirText

struct TestServer: Sendable {
  let port: Int
  let engine: ScriptedEngine
  let group: ServiceGroup

  /// Answers of the default script.
  static let answer = "Hello"

  static func information() throws -> EngineInformation {
    let tokenizer = try Tokenizer(vocabulary: .bytes())
    let template = try ChatTemplate.builtin(named: "plain")
    var information = EngineInformation(
      modelName: "test-model", contextLength: 4096, vocabularySize: tokenizer.vocabularySize, tokenizer: tokenizer,
      chatTemplate: template)
    information.embeddingWidth = 8
    information.totalBlocks = 64
    return information
  }

  /// Runs `body` against a server and stops the server behind it.
  static func with<Value: Sendable>(
    _ change: (inout ServingConfiguration) -> Void = { _ in },
    information: EngineInformation? = nil,
    script: @escaping @Sendable (GenerationRequest) -> EngineScript = { _ in EngineScript(answer: [.say(answer)]) },
    _ body: @escaping @Sendable (TestServer) async throws -> Value
  ) async throws -> Value {
    let engine = ScriptedEngine(information: try information ?? self.information(), script: script)
    var configuration = ServingConfiguration()
    configuration.port = 0
    configuration.accessLog = false
    configuration.drainTimeoutSeconds = 5
    change(&configuration)
    return try await listening(configuration, engine: engine) { port, group in
      try await body(TestServer(port: port, engine: engine, group: group))
    }
  }

  /// Runs `body` against a server over any engine and stops the server behind it.
  static func listening<Value: Sendable>(
    _ configuration: ServingConfiguration, engine: some TextEngine,
    _ body: @escaping @Sendable (_ port: Int, _ group: ServiceGroup) async throws -> Value
  ) async throws -> Value {
    let (ports, ready) = AsyncStream<Int>.makeStream()
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let service = try ServerService(configuration: configuration, engine: engine, logger: logger) { port in
      ready.yield(port)
    }
    let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [service], logger: logger))
    let running = Task {
      defer { ready.finish() }
      try await group.run()
    }
    var iterator = ports.makeAsyncIterator()
    guard let port = await iterator.next() else {
      try await running.value
      throw RawSocket.Failure(description: "the server did not start")
    }
    do {
      let value = try await body(port, group)
      running.cancel()
      _ = try? await running.value
      return value
    } catch {
      running.cancel()
      _ = try? await running.value
      throw error
    }
  }

  /// One request; the blocking socket gets a thread of its own.
  func send(
    _ method: String, _ path: String, headers: [String: String] = [:], body: JSONValue? = nil, raw: String? = nil
  ) async throws -> RawResponse {
    let port = self.port
    return try await blocking {
      try RawSocket.exchange(port: port, method, path, headers: headers, body: raw ?? body?.serialized())
    }
  }

  func post(_ path: String, _ body: JSONValue, headers: [String: String] = [:]) async throws -> RawResponse {
    try await send("POST", path, headers: headers, body: body)
  }

  func get(_ path: String, headers: [String: String] = [:]) async throws -> RawResponse {
    try await send("GET", path, headers: headers)
  }
}

/// Runs blocking work outside the cooperative pool.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    BlockingThread.run { continuation.resume(with: Result { try work() }) }
  }
}

/// Waits until `holds`; false after a minute, for all suites share the processors.
func eventually(_ holds: @Sendable () async -> Bool) async -> Bool {
  for _ in 0..<6000 {
    if await holds() { return true }
    try? await Task.sleep(for: .milliseconds(10))
  }
  return await holds()
}
