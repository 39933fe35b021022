// vLLM's kv_transfer_params over HTTP: what is read, what is answered, and a whole cluster behind a router.

import Foundation
import ServiceLifecycle
import Testing
import Weir
import WeirBasics
import WeirCluster
import WeirKVTransfer
import WeirModelFiles
import WeirPolicies
import WeirTestSupport

@testable import WeirServing

/// Real engines on a tiny random model; every test makes its own.
enum Node {
  static let secret: ClusterSecret? = try? ClusterSecret(bytes: Array("a secret of the tests".utf8))

  static let modelPath: String = {
    let path = NSTemporaryDirectory() + "weir-handoff-tests-\(getpid()).gguf"
    do {
      try RandomModel.write(geometry: .tiny, type: .f32, seed: 11, to: path, progress: nil)
    } catch {
      Issue.record("the tiny model could not be written: \(error)")
    }
    return path
  }()

  /// - Parameter stepTokens: rows of one step; few make a prompt take long.
  static func engine(
    transport: Bool, holdSeconds: Double = 30, node: String? = nil, stepTokens: Int = 512,
    secret: ClusterSecret? = Node.secret
  ) throws -> Engine {
    var configuration = EngineConfiguration(
      modelName: "tiny", runningLimit: min(64, stepTokens), stepTokens: stepTokens)
    configuration.kvBytes = 4 << 20
    configuration.contextLength = 512
    if transport {
      var transport = NodeTransport(secret: try #require(secret))
      transport.holdSeconds = holdSeconds
      transport.node = node.map { NodeID($0) }
      configuration.handoff = transport.handoffOptions()
    }
    return try Engine.load(path: modelPath, options: LoadOptions(threads: 1, configuration: configuration))
  }

  static let hasUCX: Bool = {
    guard let secret else { return false }
    let clock = SystemClock()
    let control = ControlConfiguration(authenticator: secret.authenticator) { Array(repeating: 1, count: 32) }
    guard
      let transport = try? UCXTransport(configuration: UCXConfiguration(path: .tcp, control: control), clock: clock)
    else { return false }
    transport.close()
    return true
  }()

  static func configuration(_ name: String, _ role: Role) -> ServingConfiguration {
    var configuration = ServingConfiguration()
    configuration.port = 0
    configuration.accessLog = false
    configuration.drainTimeoutSeconds = 5
    configuration.node = NodeIdentity(id: NodeID(name), role: role, incarnation: 1, secret: secret)
    return configuration
  }

  /// Runs `body` with the ports of a prefill and a decode server.
  static func pair(
    holdSeconds: Double = 30, _ body: @escaping @Sendable (_ prefill: Int, _ decode: Int, [Engine]) async throws -> Void
  ) async throws {
    let engines = [
      try engine(transport: true, holdSeconds: holdSeconds, node: "p"),
      try engine(transport: true, holdSeconds: holdSeconds, node: "d"),
    ]
    try await TestServer.listening(configuration("p", .prefill), engine: engines[0]) { prefill, _ in
      try await TestServer.listening(configuration("d", .decode), engine: engines[1]) { decode, _ in
        try await body(prefill, decode, engines)
      }
    }
  }

  /// Whether all blocks come back: the last word of a handoff may still be on its way.
  static func leaksNothing(_ engines: [Engine]) async -> Bool {
    await eventually {
      for engine in engines {
        await engine.clearPrefixCache()
        let load = await engine.status().load
        if load.freeBlocks != load.totalBlocks { return false }
      }
      return true
    }
  }
}

func post(_ port: Int, _ path: String, _ body: JSONValue) async throws -> RawResponse {
  try await blocking { try RawSocket.exchange(port: port, "POST", path, headers: [:], body: body.serialized()) }
}

func get(_ port: Int, _ path: String) async throws -> RawResponse {
  try await blocking { try RawSocket.exchange(port: port, "GET", path, headers: [:], body: nil) }
}

private let prefillParameters: JSONValue = [
  "do_remote_decode": true, "do_remote_prefill": false, "remote_engine_id": .null, "remote_block_ids": .null,
  "remote_host": .null, "remote_port": .null,
]

@Suite struct HandoffFieldTests {
  @Test func theFieldsReachTheEngine() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/completions",
        ["prompt": "abc", "max_tokens": 50, "min_tokens": 9, "kv_transfer_params": prefillParameters])
      #expect(response.status == 200)
      // The scripted engine keeps nothing: the router is told so, and goes on without.
      #expect(response.json["kv_transfer_params"]?.isNull == true)
      let ticket: JSONValue = [
        "do_remote_prefill": true, "do_remote_decode": false, "remote_engine_id": "ab12",
        "remote_request_id": "cmpl-7", "remote_host": "10.0.0.1", "remote_port": 7777, "tp_size": 1,
        "remote_num_tokens": 9, "remote_block_ids": [1, 2], "remote_handoff": 5, "remote_seal": "00ff",
      ]
      let second = try await server.post(
        "/v1/chat/completions",
        ["messages": [["role": "user", "content": "hello"]], "max_tokens": 3, "kv_transfer_params": ticket])
      #expect(second.status == 200 && second.json["kv_transfer_params"] == nil)
      let requests = server.engine.requests
      #expect(requests[0].handsOver && requests[0].maxTokens == 1 && requests[0].minTokens == 1)
      let arrival = try #require(requests[1].arrival)
      #expect(arrival.id == HandoffID(incarnation: 0xab12, number: 5) && arrival.tokens == 9)
      #expect(arrival.request == RequestID("cmpl-7") && arrival.address == "10.0.0.1:7777")
      #expect(arrival.seal == [0, 255] && !requests[1].handsOver && requests[1].maxTokens == 3)
    }
  }

  @Test(arguments: [
    ("kv_transfer_params", "7"), ("kv_transfer_params.do_remote_decode", #"{"do_remote_decode": 1}"#),
    ("kv_transfer_params.do_remote_prefill", #"{"do_remote_decode": true, "do_remote_prefill": true}"#),
    ("kv_transfer_params.remote_host", #"{"do_remote_prefill": true}"#),
    (
      "kv_transfer_params.remote_port",
      #"{"do_remote_prefill": true, "remote_host": "a", "remote_port": 70000, "remote_request_id": "r"}"#
    ),
    (
      "kv_transfer_params.remote_request_id",
      #"{"do_remote_prefill": true, "remote_host": "a", "remote_port": 7, "remote_engine_id": "1"}"#
    ),
  ]) func wrongFieldsAreNamed(param: String, value: String) async throws {
    try await TestServer.with { server in
      let response = try await server.send(
        "POST", "/v1/completions", headers: [:], raw: "{\"prompt\": \"a\", \"kv_transfer_params\": \(value)}")
      #expect(response.status == 400, "\(response.text)")
      #expect(response.json["error"]?["param"]?.string == param, "\(response.text)")
    }
  }

  @Test func oneTicketStandsForOnePrompt() async throws {
    try await TestServer.with { server in
      let response = try await server.post(
        "/v1/completions", ["prompt": ["a", "b"], "kv_transfer_params": prefillParameters])
      #expect(response.status == 400 && response.json["error"]?["param"]?.string == "kv_transfer_params")
    }
  }

  @Test func aShortSecretIsRefused() {
    #expect(throws: ConfigurationError.self) { try ClusterSecret(bytes: [1, 2, 3]) }
  }
}

@Suite(.enabled(if: Node.hasUCX), .serialized) struct DisaggregationTests {
  /// Prompts of different lengths; greedy and seeded.
  static let bodies: [(path: String, body: JSONObject)] = (0..<12).map { index in
    let text = String(repeating: "Once upon a time, number \(index), ", count: 1 + index % 6)
    var body: JSONObject = ["max_tokens": 8, "ignore_eos": true, "return_token_ids": true]
    body["temperature"] = index % 2 == 0 ? 0 : 1
    body["seed"] = JSONValue(index)
    if index % 3 == 0 {
      body["messages"] = [["role": "user", "content": .string(text)]]
      return ("/v1/chat/completions", body)
    }
    body["prompt"] = .string(text)
    return ("/v1/completions", body)
  }

  static func tokens(_ response: RawResponse) -> [Int]? {
    response.json["choices"]?[0]?["token_ids"]?.array?.compactMap(\.int)
  }

  static func alone(_ bodies: [(path: String, body: JSONObject)] = bodies) async throws -> [[Int]?] {
    let engine = try Node.engine(transport: false)
    return try await TestServer.listening(Node.configuration("s", .mixed), engine: engine) { port, _ in
      var answers: [[Int]?] = []
      for (path, body) in bodies { answers.append(Self.tokens(try await post(port, path, .object(body)))) }
      return answers
    }
  }

  @Test(.timeLimit(.minutes(3))) func theTwoStepsOfARouterGiveTheSameTokens() async throws {
    let expected = try await Self.alone()
    try await Node.pair { prefill, decode, engines in
      for (index, item) in Self.bodies.enumerated() {
        var first = item.body
        first["kv_transfer_params"] = prefillParameters
        let prefilled = try await post(prefill, item.path, .object(first))
        let parameters = try #require(prefilled.json["kv_transfer_params"])
        #expect(parameters["do_remote_prefill"]?.bool == true && parameters["remote_port"]?.int ?? 0 > 0)
        var second = item.body
        second["kv_transfer_params"] = parameters
        let answer = try await post(decode, item.path, .object(second))
        #expect(Self.tokens(answer) == expected[index], "request \(index): \(answer.text)")
        let transfer = answer.json["weir"]?["transfer"]
        #expect(transfer?["received_tokens"]?.int ?? 0 > 0 && transfer?["recomputed_because"]?.isNull == true)
      }
      // A second use of one ticket, and one that somebody wrote himself: refused, counted, computed.
      var body = Self.bodies[1].body
      body["cache"] = ["read": false]
      var first = Self.bodies[1].body
      first["kv_transfer_params"] = prefillParameters
      body["kv_transfer_params"] = try await post(prefill, Self.bodies[1].path, .object(first)).json[
        "kv_transfer_params"]
      let once = try await post(decode, Self.bodies[1].path, .object(body))
      #expect(Self.tokens(once) == expected[1] && once.json["weir"]?["transfer"]?["received_tokens"]?.int ?? 0 > 0)
      let twice = try await post(decode, Self.bodies[1].path, .object(body))
      #expect(Self.tokens(twice) == expected[1], "\(twice.text)")
      let reason = twice.json["weir"]?["transfer"]?["recomputed_because"]?.string
      #expect(reason != nil && twice.json["weir"]?["transfer"]?["received_tokens"]?.int == 0, "\(twice.text)")
      body["kv_transfer_params"] = [
        "do_remote_prefill": true, "remote_host": "127.0.0.1", "remote_port": 1, "remote_request_id": "r",
        "remote_engine_id": "1", "remote_handoff": 1, "remote_num_tokens": 5, "remote_seal": "00",
      ]
      let forged = try await post(decode, Self.bodies[1].path, .object(body))
      #expect(Self.tokens(forged) == expected[1])
      #expect(forged.json["weir"]?["transfer"]?["recomputed_because"]?.string == "unsealed_ticket")
      let metrics = try await get(decode, "/metrics")
      #expect(metrics.text.contains("reason=\"unsealed_ticket\"} 1"), "\(metrics.text)")
      #expect(await Node.leaksNothing(engines))
    }
  }

  @Test(.timeLimit(.minutes(3))) func aRouterAnswersAsOneServerDoes() async throws {
    let expected = try await Self.alone()
    try await Node.pair { prefill, decode, engines in
      try await Self.routed([(prefill, .prefill), (decode, .decode)]) { port, service in
        for (index, item) in Self.bodies.enumerated() {
          let answer = try await post(port, item.path, .object(item.body))
          #expect(Self.tokens(answer) == expected[index], "request \(index): \(answer.text)")
          #expect(answer.headers["x-weir-decode-node"] == "d" && answer.headers["x-weir-prefill-node"] == "p")
        }
        var streamed = Self.bodies[1].body
        streamed["stream"] = true
        let events = try await post(port, Self.bodies[1].path, .object(streamed))
        let streamedTokens = events.chunks.flatMap { chunk in
          chunk["choices"]?[0]?["token_ids"]?.array?.compactMap(\.int) ?? []
        }
        #expect(streamedTokens == expected[1])
        #expect(events.events.last?.data == "[DONE]")
        // The client's mistakes come back in the node's words.
        let wrong = try await post(port, "/v1/completions", ["prompt": "a", "temperature": -1])
        #expect(wrong.status == 400 && wrong.json["error"]?["param"]?.string == "temperature")
        let unknown = try await post(port, "/v1/completions", ["prompt": "a", "model": "other"])
        #expect(unknown.status == 404 && unknown.json["error"]?["code"]?.string == "model_not_found")
        let models = try await get(port, "/v1/models")
        #expect(models.json["data"]?[0]?["id"]?.string == "tiny")
        #expect(service.counts.disaggregated == 13 && service.counts.failed == 0, "\(service.counts)")
        // The sender has learnt what its link to the receiver costs, and the router knows.
        #expect(
          await eventually {
            let sender = service.nodes.first { $0.facts?.id == NodeID("p") }
            return sender?.facts?.report.speeds.link(to: NodeID("d"))?.bytesPerSecond ?? 0 > 0
          })
      }
      #expect(await Node.leaksNothing(engines))
    }
  }

  @Test(.timeLimit(.minutes(3))) func aRouterGoesOnWithoutItsPrefillNode() async throws {
    let expected = try await Self.alone()
    let engines = [try Node.engine(transport: true), try Node.engine(transport: true)]
    try await TestServer.listening(Node.configuration("d", .decode), engine: engines[1]) { decode, _ in
      try await TestServer.listening(Node.configuration("p", .prefill), engine: engines[0]) { prefill, stopping in
        // The router asks once, so it goes on believing in a node that has gone.
        try await Self.routed([(prefill, .prefill), (decode, .decode)], pollSeconds: 60) { port, service in
          await stopping.triggerGracefulShutdown()
          #expect(await eventually { (try? await get(prefill, "/health")) == nil }, "the prefill node goes on")
          let answer = try await post(port, Self.bodies[1].path, .object(Self.bodies[1].body))
          #expect(Self.tokens(answer) == expected[1], "\(answer.text)")
          #expect(answer.headers["x-weir-prefill-node"] == nil)
          #expect(service.counts.prefillFailures == 1 && service.counts.colocated == 1, "\(service.counts)")
        }
      }
      // Nobody listens on port 1.
      try await Self.routed([(1, .decode)], waits: false) { port, _ in
        let answer = try await post(port, "/v1/completions", ["prompt": "a"])
        #expect(answer.status == 503 && answer.json["error"]?["code"]?.string == "no_node_available")
        #expect(answer.headers["retry-after"] != nil)
      }
    }
  }

  /// No request is dropped or changed while roles flip under it, fifty times; nothing is drained.
  @Test(.timeLimit(.minutes(3))) func rolesFlipUnderLoad() async throws {
    let expected = try await Self.alone()
    let flips: [(node: String, role: Role)] = (0..<50).map { index in
      (index % 2 == 0 ? "p" : "d", [.decode, .prefill, .mixed][index / 2 % 3])
    }
    // KV that was not needed is kept until its lease ends: the receiver found it in its own tree.
    try await Node.pair(holdSeconds: 3) { prefill, decode, engines in
      try await Self.routed([(prefill, .prefill), (decode, .decode)], roles: flips) { port, service in
        try await withThrowingTaskGroup(of: Void.self) { group in
          for worker in 0..<3 {
            group.addTask {
              var index = worker
              repeat {
                let item = Self.bodies[index % Self.bodies.count]
                let answer = try await post(port, item.path, .object(item.body))
                #expect(Self.tokens(answer) == expected[index % Self.bodies.count], "\(answer.text)")
                index += 1
              } while service.roles.directives[.followed] ?? 0 < 50 || index < 12
            }
          }
          try await group.waitForAll()
        }
        #expect(service.counts.failed == 0 && service.counts.retries == 0, "\(service.counts)")
        #expect(service.roles.directives == [.followed: 50], "\(service.roles.directives)")
      }
      #expect(await Node.leaksNothing(engines))
    }
  }

  @Test(.timeLimit(.minutes(3))) func nodesThatJoinARegistryAreFoundAndLeave() async throws {
    let expected = try await Self.alone()
    let registry = LocalRegistry(clock: SystemClock())
    let engines = [try Node.engine(transport: true), try Node.engine(transport: true)]
    var (prefilling, decoding) = (Node.configuration("p", .prefill), Node.configuration("d", .decode))
    prefilling.registry = registry
    decoding.registry = registry
    let (prefills, decodes) = (prefilling, decoding)
    try await Self.routed([], registry: registry) { port, service in
      try await TestServer.listening(prefills, engine: engines[0]) { _, _ in
        try await TestServer.listening(decodes, engine: engines[1]) { _, _ in
          #expect(await eventually { service.nodes.count { $0.facts?.isOpen == true } == 2 })
          let answer = try await post(port, Self.bodies[1].path, .object(Self.bodies[1].body))
          #expect(Self.tokens(answer) == expected[1] && service.counts.disaggregated == 1, "\(answer.text)")
        }
      }
      #expect(await eventually { service.nodes.isEmpty }, "the nodes did not leave")
    }
    #expect(try await registry.members().isEmpty)
  }

  @Test(.timeLimit(.minutes(3))) func aRouterWhoseRegistryIsAwayAsksItsMembersThemselves() async throws {
    let registry = InterruptedRegistry()
    let engines = [try Node.engine(transport: true), try Node.engine(transport: true)]
    var (prefilling, decoding) = (Node.configuration("p", .prefill), Node.configuration("d", .decode))
    prefilling.registry = registry
    decoding.registry = registry
    let (prefills, decodes) = (prefilling, decoding)
    try await TestServer.listening(prefills, engine: engines[0]) { _, _ in
      try await TestServer.listening(decodes, engine: engines[1]) { _, _ in
        #expect(await eventually { (try? await registry.members().count) == 2 })
        try await Self.routed([], waits: false, registry: registry) { port, service in
          #expect(await eventually { service.nodes.count { $0.facts?.isOpen == true } == 2 })
          // Ten times what both pools hold together: it is placed only if the end of what was placed is heard of.
          let blocks = service.nodes.compactMap { $0.facts?.description.capacity.totalBlocks }.reduce(0, +)
          for number in 0..<(10 * blocks / 12) {
            let prompt = JSONValue.array((0..<400).map { JSONValue(300 + ($0 * 7 + number * 31) % 100) })
            let answer = try await post(port, "/v1/completions", ["prompt": prompt, "max_tokens": 1])
            #expect(answer.status == 200, "request \(number) of \(blocks) blocks: \(answer.text)")
          }
        }
      }
    }
  }

  /// Runs `body` behind a router over nodes on these ports, once it knows the living ones.
  static func routed(
    _ nodes: [(port: Int, role: Role)], waits: Bool = true, registry: (any Registry)? = nil, pollSeconds: Double = 0.05,
    streamsBlocks: Bool = false, roles: [(node: String, role: Role)]? = nil,
    _ body: @escaping @Sendable (Int, RouterService) async throws -> Void
  ) async throws {
    var configuration = RouterConfiguration()
    configuration.pollSeconds = pollSeconds
    configuration.staleSeconds = max(3, pollSeconds * 2)
    configuration.registry = registry
    configuration.streamsBlocks = streamsBlocks
    configuration.nodes = nodes.map { RouterNode(url: "http://127.0.0.1:\($0.port)", role: $0.role) }
    if let roles {
      configuration.secret = Node.secret
      configuration.roles = RouterRoles(name: "ordered") { OrderedRoles(roles, firstEpoch: $0) }
    }
    try await TestRouter.listening(configuration) { port, service in
      let living = nodes.count { $0.port != 1 }
      if waits { #expect(await eventually { service.nodes.count { $0.facts?.isOpen == true } == living }) }
      try await body(port, service)
    }
  }
}

/// A registry that takes members, and is away for who watches it: they get the members of that moment and no news.
private struct InterruptedRegistry: Registry {
  private let known = LocalRegistry(clock: SystemClock())

  var place: String { known.place }

  func register(_ node: NodeDescription, leaseSeconds: Double) async throws(RegistryError) -> RegistryLease {
    try await known.register(node, leaseSeconds: leaseSeconds)
  }
  func keepAlive(_ lease: RegistryLease) async throws(RegistryError) { try await known.keepAlive(lease) }
  func report(_ report: LoadReport, lease: RegistryLease) async throws(RegistryError) {
    try await known.report(report, lease: lease)
  }
  func direct(_ directive: RoleDirective) async throws(RegistryError) { try await known.direct(directive) }
  func directive(to node: NodeID) async throws(RegistryError) -> RoleDirective? {
    try await known.directive(to: node)
  }
  func claimControl(_ holder: NodeID, leaseSeconds: Double) async throws(RegistryError) -> ControlLease? {
    try await known.claimControl(holder, leaseSeconds: leaseSeconds)
  }
  func keepControl(_ lease: ControlLease) async throws(RegistryError) { try await known.keepControl(lease) }
  func releaseControl(_ lease: ControlLease) async throws(RegistryError) { try await known.releaseControl(lease) }
  func withdraw(_ lease: RegistryLease) async throws(RegistryError) { try await known.withdraw(lease) }
  func members() async throws(RegistryError) -> [Member] { try await known.members() }
  func watch() async -> AsyncStream<MembershipEvent> {
    let (stream, continuation) = AsyncStream.makeStream(of: MembershipEvent.self)
    continuation.yield(.snapshot((try? await members()) ?? []))
    continuation.yield(.interrupted(.unreachable("the test's registry is away")))
    return stream
  }
}
