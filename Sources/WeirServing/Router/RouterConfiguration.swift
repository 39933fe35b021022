// One immutable value that holds every setting of the router.

public import WeirCluster

/// A node that the router was told of, and the role it was told it has.
public struct RouterNode: Sendable, Hashable {
  /// `http://host:port`.
  public var url: String
  /// Nil: what the node says of itself.
  public var role: Role?

  public init(url: String, role: Role? = nil) {
    self.url = url
    self.role = role
  }
}

/// How a router directs roles.
public struct RouterRoles: Sendable {
  /// The plan's key, for people.
  public var name: String
  /// Makes the plan of one model; its directives begin with this epoch.
  public var plan: @Sendable (_ firstEpoch: Int) -> any RolePlan

  public init(name: String, plan: @escaping @Sendable (_ firstEpoch: Int) -> any RolePlan) {
    self.name = name
    self.plan = plan
  }
}

/// Where the router listens, and how it treats its nodes.
public struct RouterConfiguration: Sendable {
  public var host = "127.0.0.1"
  /// 0 lets the system choose a free port.
  public var port = 8000
  /// Paths of a PEM certificate chain and its key; both or neither.
  public var tlsCertificatePath: String?
  public var tlsKeyPath: String?
  public var nodes: [RouterNode] = []
  /// Where further nodes join; nil: only `nodes` are there.
  public var registry: (any Registry)?
  /// How roles follow the load; nil: every node keeps the role it was started with.
  public var roles: RouterRoles?
  /// The cluster's secret: without it no role is directed, and nodes that protect their numbers show none.
  public var secret: ClusterSecret?
  /// A PEM file with the certificates that nodes with `https://` addresses are known by; nil: those of the system.
  public var trustRootsPath: String?
  /// A key of the nodes for the router's own questions; nil: they ask for none, or take the secret.
  public var nodeKey: String?
  /// How often every node is asked how it is, 0.01 to 60 seconds.
  public var pollSeconds = 0.25
  /// A node that has been silent for longer gets nothing, 0.1 to 3600 seconds.
  public var staleSeconds = 3.0
  /// How long a prefill may take, 0.1 to 86 400 seconds.
  public var prefillTimeoutSeconds = 300.0
  /// How long a node has to answer a role directive, 0.1 to 60 seconds.
  public var directiveSeconds = 1.0
  /// Longest silence of a node in the middle of an answer, 0.1 to 86 400 seconds.
  public var silenceSeconds = 120.0
  /// Prompts that are estimated shorter than this are computed where they are decoded, 0 to 1 000 000 tokens.
  public var leastPrefillTokens = 0
  /// Sends the decode half of a request beside its prefill half, so that finished blocks travel while the prompt is
  /// computed. The decode node holds room for the prompt meanwhile.
  public var streamsBlocks = false
  /// Nodes that one request is tried on, 1 to 16.
  public var attempts = 3
  /// Largest request body in bytes, 1 KiB to 1 GiB.
  public var maxBodyBytes = 32 << 20
  /// What clients are told to wait before they try again, 1 to 3600 seconds.
  public var retryAfterSeconds = 1.0
  public var version = "0.1.0"

  public init() {}

  /// - Throws: ``ConfigurationError`` that names the setting.
  public func validate() throws(ConfigurationError) {
    func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws(ConfigurationError) {
      guard !range.contains(value) else { return }
      throw ConfigurationError(
        setting: name, message: "\(name) is \(value), it must be from \(range.lowerBound) to \(range.upperBound)")
    }
    try check("port", Double(port), 0...65_535)
    try check("poll", pollSeconds, 0.01...60)
    try check("stale", staleSeconds, 0.1...3600)
    try check("prefill-timeout", prefillTimeoutSeconds, 0.1...86_400)
    try check("directive", directiveSeconds, 0.1...60)
    try check("silence", silenceSeconds, 0.1...86_400)
    try check("least-prefill-tokens", Double(leastPrefillTokens), 0...1e6)
    try check("attempts", Double(attempts), 1...16)
    try check("max-body-bytes", Double(maxBodyBytes), 1024...Double(1 << 30))
    try check("retry-after", retryAfterSeconds, 1...3600)
    guard !nodes.isEmpty || registry != nil else {
      throw ConfigurationError(
        setting: "nodes",
        message: "the router has no nodes: give at least one --prefill, --decode or --node URL, or --etcd")
    }
    try ServerTLS.check(certificatePath: tlsCertificatePath, keyPath: tlsKeyPath)
    if let trustRootsPath { try TrustRoots.check(trustRootsPath) }
    guard roles == nil || secret != nil else {
      throw ConfigurationError(
        setting: "roles",
        message: "nodes follow role directives only with the cluster's secret: give --cluster-secret-file or set "
          + "WEIR_CLUSTER_SECRET, or choose --roles static")
    }
    for node in nodes where !Self.isAddress(node.url) {
      throw ConfigurationError(
        setting: "nodes", message: "\(node.url) is no node's address; write for example http://127.0.0.1:8001")
    }
  }

  private static func isAddress(_ url: String) -> Bool {
    guard let scheme = ["http://", "https://"].first(where: { url.hasPrefix($0) }) else { return false }
    let rest = url.dropFirst(scheme.count)
    return !rest.isEmpty && !rest.contains("/") && !rest.contains("@") && !rest.contains(" ")
  }
}
