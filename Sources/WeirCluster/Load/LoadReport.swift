// What a node says of itself several times a second.

public import WeirBasics

/// A speed that was measured, with the time since the last measurement.
public struct MeasuredRate: Sendable, Hashable {
  /// Tokens (or bytes) per second, above 0.
  public var perSecond: Double
  /// Seconds since the last measurement that is part of it.
  public var ageSeconds: Double

  public init(perSecond: Double, ageSeconds: Double) {
    self.perSecond = perSecond
    self.ageSeconds = ageSeconds
  }
}

/// What a transfer to one peer costs: `operations * operationSeconds + bytes / bytesPerSecond`, both fitted online by
/// whoever runs transfers.
public struct LinkSpeed: Sendable, Hashable {
  public var peer: NodeID
  /// Above 0.
  public var bytesPerSecond: Double
  /// Seconds per transfer call, at least 0.
  public var operationSeconds: Double

  public init(peer: NodeID, bytesPerSecond: Double, operationSeconds: Double) {
    self.peer = peer
    self.bytesPerSecond = bytesPerSecond
    self.operationSeconds = operationSeconds
  }
}

/// Speeds of one node, nil where it has not yet done such work. Nodes differ, and nobody configures by how much.
public struct MeasuredSpeeds: Sendable, Hashable {
  /// Prompt tokens per second of a step that computes nothing else.
  public var prefillTokens: MeasuredRate?
  /// Generated tokens per second, all running sequences together.
  public var decodeTokens: MeasuredRate?
  /// Mean number of sequences in the steps that `decodeTokens` was measured over: a step of fewer takes hardly less
  /// time, because the weights are read once per step whoever shares it.
  public var decodeBatch = 1.0
  /// Links to peers, by ascending id.
  public var links: [LinkSpeed] = []

  public init(
    prefillTokens: MeasuredRate? = nil, decodeTokens: MeasuredRate? = nil, decodeBatch: Double = 1,
    links: [LinkSpeed] = []
  ) {
    self.prefillTokens = prefillTokens
    self.decodeTokens = decodeTokens
    self.decodeBatch = decodeBatch
    self.links = links.sorted { $0.peer < $1.peer }
  }

  /// The measured link to `peer`, nil if nothing was sent there yet. O(links).
  public func link(to peer: NodeID) -> LinkSpeed? { links.first { $0.peer == peer } }
}

/// One node's load at one moment, with its measured speeds.
public struct LoadReport: Sendable, Equatable {
  public var node: NodeID
  /// The start of the node that speaks (``NodeDescription/incarnation``).
  public var incarnation: Int
  /// Grows with every report of one incarnation.
  public var sequence: Int
  /// The role the node acts in now.
  public var role: Role
  /// The node finishes what it has and takes nothing new.
  public var isDraining = false
  /// Queue lengths and blocks as the engine counts them.
  public var queues = NodeLoad()
  /// Requests prefilled elsewhere that wait here for room to decode; not part of `queues`.
  public var waitingDecodes = 0
  /// Blocks that waiting requests and announced handoffs will need; not yet taken from the pool.
  public var promisedBlocks = 0
  /// Prefilled requests whose KV has not yet left this node.
  public var sendingRequests = 0
  /// Sequences that gave their blocks back and wait to continue ("swapped" in FlowKV).
  public var preemptedSequences = 0
  /// Share of the time spent in steps that prefill, which are bound by compute, `0...1`.
  public var computeUtilisation = 0.0
  /// Share of the machine's memory bandwidth that is used, or, where nobody counts it, of the time spent in steps that
  /// only decode, which are bound by it, `0...1`.
  public var memoryBandwidthUtilisation = 0.0
  public var speeds = MeasuredSpeeds()

  public init(node: NodeID, incarnation: Int, sequence: Int, role: Role) {
    self.node = node
    self.incarnation = incarnation
    self.sequence = sequence
    self.role = role
  }

  /// Blocks that a new request could have: free ones and those that only the prefix tree holds, without the promised.
  public var roomBlocks: Int { max(0, queues.freeBlocks + queues.cachedBlocks - promisedBlocks) }
}

/// The parts of a report that scores are made of, as reals so that they can be smoothed.
public struct LoadVector: Sendable, Equatable {
  public var runningSequences = 0.0
  public var waitingRequests = 0.0
  public var waitingPromptTokens = 0.0
  public var waitingDecodes = 0.0
  public var sendingRequests = 0.0
  public var preemptedSequences = 0.0
  /// Share of the pool held by running sequences, `0...1`.
  public var kvUsage = 0.0
  public var computeUtilisation = 0.0
  public var memoryBandwidthUtilisation = 0.0

  public init() {}

  public init(_ report: LoadReport) {
    runningSequences = Double(report.queues.runningSequences)
    waitingRequests = Double(report.queues.waitingRequests)
    waitingPromptTokens = Double(report.queues.waitingPromptTokens)
    waitingDecodes = Double(report.waitingDecodes)
    sendingRequests = Double(report.sendingRequests)
    preemptedSequences = Double(report.preemptedSequences)
    kvUsage = report.queues.kvUsage
    computeUtilisation = report.computeUtilisation
    memoryBandwidthUtilisation = report.memoryBandwidthUtilisation
  }

  /// This vector moved by `share` (0 to 1) of the way to `newer`.
  func moved(towards newer: LoadVector, share: Double) -> LoadVector {
    if share >= 1 { return newer }
    func between(_ field: KeyPath<LoadVector, Double>) -> Double {
      self[keyPath: field] + (newer[keyPath: field] - self[keyPath: field]) * share
    }
    var result = LoadVector()
    result.runningSequences = between(\.runningSequences)
    result.waitingRequests = between(\.waitingRequests)
    result.waitingPromptTokens = between(\.waitingPromptTokens)
    result.waitingDecodes = between(\.waitingDecodes)
    result.sendingRequests = between(\.sendingRequests)
    result.preemptedSequences = between(\.preemptedSequences)
    result.kvUsage = between(\.kvUsage)
    result.computeUtilisation = between(\.computeUtilisation)
    result.memoryBandwidthUtilisation = between(\.memoryBandwidthUtilisation)
    return result
  }
}
