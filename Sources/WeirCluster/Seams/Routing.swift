// Seam: which node prefills, which node decodes? Papers' answers live in WeirPolicies/Routing.

public import WeirBasics

/// What a route may know of one request.
public struct RouteRequest: Sendable, Equatable {
  public var request: RequestID
  public var model: ModelFingerprint
  public var promptTokens: Int
  /// Tokens the answer is expected to have: what predictions count with.
  public var expectedOutputTokens: Int
  /// Tokens the answer may have at most: what KV room must be there for.
  public var outputTokensLimit: Int
  /// Leading tokens of the prompt that nodes hold already, by ascending id; nodes left out hold none.
  public private(set) var hits: [(node: NodeID, tokens: Int)]
  public var protocolVersion = NodeDescription.currentProtocol

  public init(
    request: RequestID, model: ModelFingerprint, promptTokens: Int, expectedOutputTokens: Int,
    outputTokensLimit: Int? = nil, hitTokens: [NodeID: Int] = [:]
  ) {
    self.request = request
    self.model = model
    self.promptTokens = max(1, promptTokens)
    self.expectedOutputTokens = max(1, expectedOutputTokens)
    self.outputTokensLimit = max(1, outputTokensLimit ?? expectedOutputTokens)
    hits = hitTokens.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// The same request with other hits.
  public func knowing(hitTokens: [NodeID: Int]) -> RouteRequest {
    var request = self
    request.hits = hitTokens.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    return request
  }

  /// Prompt tokens that need not be computed on `node`; at least the last one always is.
  public func hitTokens(on node: NodeID) -> Int {
    min(max(0, hits.first { $0.node == node }?.tokens ?? 0), promptTokens - 1)
  }

  /// Tokens that the request may hold at most.
  public var wholeTokens: Int { promptTokens + outputTokensLimit }

  public static func == (a: RouteRequest, b: RouteRequest) -> Bool {
    a.request == b.request && a.model == b.model && a.promptTokens == b.promptTokens
      && a.expectedOutputTokens == b.expectedOutputTokens && a.outputTokensLimit == b.outputTokensLimit
      && a.protocolVersion == b.protocolVersion && a.hits.map(\.node) == b.hits.map(\.node)
      && a.hits.map(\.tokens) == b.hits.map(\.tokens)
  }
}

/// What a route may know of the cluster.
public struct RouteFacts: Sendable {
  /// By ascending id.
  public let nodes: [NodeFacts]
  public let now: Instant
  /// Requests routed before this one.
  public let turn: UInt64

  public init(nodes: [NodeFacts], now: Instant, turn: UInt64) {
    self.nodes = nodes.sorted { $0.id < $1.id }
    self.now = now
    self.turn = turn
  }
}

/// Chooses nodes. A pure function of its arguments; ties go to the lower id.
public protocol Routing: Sendable {
  /// - Parameters:
  ///   - request: what is to be placed.
  ///   - facts: the cluster now.
  ///   - generator: the only source of chance.
  /// - Returns: a prefill and a decode node, possibly the same, with the numbers that decided.
  /// - Throws: ``RoutingError`` if no node can take the request now.
  func route(
    _ request: RouteRequest, _ facts: RouteFacts, generator: inout SeededGenerator
  ) throws(RoutingError) -> Route
}

/// Why a request cannot be placed.
public enum RoutingError: WeirError, Equatable {
  /// No member is alive and open.
  case noNode
  case modelNotServed(ModelFingerprint)
  /// The request is longer than every node's context or pool.
  case tooLong(tokens: Int, limit: Int)
  /// Nodes serve the model but none has room for the whole request now; it can be tried again.
  case noRoom(tokens: Int, roomTokens: Int)

  public var code: String {
    switch self {
    case .noNode: "no_node_available"
    case .modelNotServed: "model_not_served"
    case .tooLong: "context_length_exceeded"
    case .noRoom: "insufficient_kv"
    }
  }

  /// Whether the same request may succeed later without anybody changing the cluster's size.
  public var isRetryable: Bool {
    switch self {
    case .noNode, .noRoom: true
    case .modelNotServed, .tooLong: false
    }
  }

  public var message: String {
    switch self {
    case .noNode: "no node of the cluster is alive and open; try again later"
    case .modelNotServed(let model): "no node of the cluster serves the model with fingerprint \(model)"
    case .tooLong(let tokens, let limit):
      "prompt and answer may take \(tokens) tokens; the largest node holds \(limit)"
    case .noRoom(let tokens, let room):
      "prompt and answer may take \(tokens) tokens and the roomiest node has KV for \(room) now; try again later"
    }
  }
}

/// The default: every node in turn.
public struct RoundRobin: Routing {
  public init() {}

  public func route(
    _ request: RouteRequest, _ facts: RouteFacts, generator: inout SeededGenerator
  ) throws(RoutingError) -> Route {
    let candidates = try Candidates(request, facts)
    let prefill = candidates.prefill[Int(facts.turn % UInt64(candidates.prefill.count))]
    let decode =
      candidates.decode.first { $0.id == prefill.id }
      ?? candidates.decode[Int(facts.turn % UInt64(candidates.decode.count))]
    return Route(
      prefill: prefill.id, decode: decode.id,
      reasons: RouteReasons(
        policy: "round-robin", sentence: "turn \(facts.turn) of \(candidates.prefill.count) nodes that prefill",
        options: [], refusals: candidates.refusals))
  }
}
