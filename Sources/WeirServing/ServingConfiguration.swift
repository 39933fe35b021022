// One immutable value that holds every setting of the HTTP server, with its range.

public import WeirBasics
public import WeirCluster

/// How the server listens, whom it lets in and where its limits are.
public struct ServingConfiguration: Sendable {
  /// Address to bind, for example `127.0.0.1`.
  public var host = "127.0.0.1"
  /// 0 lets the system choose a free port.
  public var port = 8000
  /// Paths of a PEM certificate chain and its key; both or neither.
  public var tlsCertificatePath: String?
  public var tlsKeyPath: String?

  /// Keys that clients may use; empty: everybody may.
  public var apiKeys: [String] = []
  /// Key for the administrative routes; nil: the client keys open them too.
  public var adminKey: String?
  /// Asks for a key on `/metrics`, `/load`, `/weir/state`, `/kv_event_sources` and `/get_server_info` too, and on
  /// `/weir/node` and `/weir/requests` for a key or the cluster's secret. A router shows its nodes' numbers to all.
  public var protectsMetrics = false
  /// Gives every API key a prefix cache of its own.
  public var isolatesTenants = true
  /// Secret from which the tenants' cache salts are derived; empty: drawn when the server starts, so salts change
  /// with every start.
  public var tenantSecret: [UInt8] = []

  /// Largest request body in bytes, 1 KiB to 1 GiB.
  public var maxBodyBytes = 32 << 20
  /// Largest block of request headers in bytes, 1 KiB to 1 MiB.
  public var maxHeaderBytes = 64 << 10
  /// Open connections, 1 to 1 000 000; more wait in the listen queue.
  public var maxConnections = 4096
  /// Generating requests that may be open at once, 1 to 1 000 000; more are answered with 503.
  public var maxConcurrentRequests = 1024
  /// A connection that sends no complete request for this long is closed, 0.05 to 3600 seconds.
  public var idleTimeoutSeconds = 75.0
  /// A request body must be complete within this time, 0.05 to 3600 seconds.
  public var bodyTimeoutSeconds = 60.0
  /// Silence on an event stream after which a comment is sent, 0.01 to 3600 seconds.
  public var keepAliveSeconds = 15.0
  /// How long a streaming answer waits for an early refusal before its status goes out, 0 to 10 seconds.
  public var earlyFailureSeconds = 0.25
  /// How long running requests may go on after a shutdown signal, 0 to 3600 seconds.
  public var drainTimeoutSeconds = 30.0
  /// What `Retry-After` says when the server is busy, 1 to 3600 seconds.
  public var retryAfterSeconds = 1.0

  /// Most answers of one request (`n`), most prompts in one completion request, most texts to embed: 1 to 100 000.
  public var maxChoices = 128
  public var maxPromptsPerRequest = 1024
  /// Most alternatives per token that a request may ask for, 0 to 1000.
  public var maxLogprobs = 20
  /// Stored answers of `/v1/responses`, 0 to 1 000 000.
  public var storedResponses = 256
  /// Origins that browsers may call from, `*` for all; empty: no CORS headers.
  public var allowedOrigins: [String] = []
  /// Serves the web page at `/`.
  public var servesWeb = true
  /// Serves vLLM's metric names next to our own.
  public var vllmMetricNames = true
  /// Writes one log line per request.
  public var accessLog = true
  /// This server's part in a cluster; nil: it has none, and `/weir/node` does not exist.
  public var node: NodeIdentity?
  /// Where the node joins its cluster; nil: routers are told its address.
  public var registry: (any Registry)?
  /// Publishes KV events; nil: nobody does, and `/kv_event_sources` does not exist.
  public var events: EventPublisher?
  /// What `/version` and `Server` say.
  public var version = "0.1.0"

  public init() {}

  /// Throws the first setting that is out of its range.
  public func validate() throws(ConfigurationError) {
    try check("port", Double(port), 0...65_535)
    try check("max-body-bytes", Double(maxBodyBytes), 1024...Double(1 << 30))
    try check("max-header-bytes", Double(maxHeaderBytes), 1024...Double(1 << 20))
    try check("max-connections", Double(maxConnections), 1...1e6)
    try check("max-concurrent-requests", Double(maxConcurrentRequests), 1...1e6)
    try check("idle-timeout", idleTimeoutSeconds, 0.05...3600)
    try check("body-timeout", bodyTimeoutSeconds, 0.05...3600)
    try check("keep-alive", keepAliveSeconds, 0.01...3600)
    try check("early-failure", earlyFailureSeconds, 0...10)
    try check("shutdown-timeout", drainTimeoutSeconds, 0...3600)
    try check("retry-after", retryAfterSeconds, 1...3600)
    try check("max-choices", Double(maxChoices), 1...100_000)
    try check("max-prompts", Double(maxPromptsPerRequest), 1...100_000)
    try check("max-logprobs", Double(maxLogprobs), 0...1000)
    try check("stored-responses", Double(storedResponses), 0...1e6)
    try ServerTLS.check(certificatePath: tlsCertificatePath, keyPath: tlsKeyPath)
    if host.isEmpty { throw ConfigurationError(setting: "host", message: "the host to bind must not be empty") }
    if (apiKeys + [adminKey].compactMap { $0 }).contains(where: { $0.isEmpty }) {
      throw ConfigurationError(setting: "api-key", message: "a key must not be empty")
    }
  }

  private func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws(ConfigurationError) {
    guard range.contains(value) else {
      throw ConfigurationError(
        setting: name, message: "\(name) is \(value), it must be from \(range.lowerBound) to \(range.upperBound)")
    }
  }
}

/// A setting that the server cannot work with.
public struct ConfigurationError: WeirError, Equatable {
  public var setting: String
  public var message: String
  public var code: String { "invalid_configuration" }

  public init(setting: String, message: String) {
    self.setting = setting
    self.message = message
  }
}
