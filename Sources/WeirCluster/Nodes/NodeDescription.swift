// What a node says of itself once, when it joins.

public import WeirBasics

/// Names weights and everything else that decides what KV means; equal fingerprints may exchange KV.
public struct ModelFingerprint: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public var rawValue: String
  public init(rawValue: String) { self.rawValue = rawValue }
  public init(_ text: String) { rawValue = text }
  /// The fingerprint that transfers carry, as 16 hexadecimal digits.
  public init(_ number: UInt64) {
    let digits = String(number, radix: 16)
    rawValue = String(repeating: "0", count: 16 - digits.count) + digits
  }
  public var description: String { rawValue }
}

/// Where a node can be reached.
public struct NodeAddresses: Sendable, Hashable {
  /// `host:port` of the OpenAI API and of the control routes, behind `https://` if they speak TLS.
  public var http: String
  /// Address of the KV transport in that transport's own text form; empty if the node has no transport.
  public var transfer: String

  public init(http: String, transfer: String = "") {
    self.http = http
    self.transfer = transfer
  }
}

/// How much a node can hold and do at once.
public struct NodeCapacity: Sendable, Hashable {
  /// Blocks of the KV pool.
  public var totalBlocks: Int
  /// Sequences that may run at once.
  public var runningLimit: Int
  /// Tokens of one step while nobody decodes.
  public var stepTokens: Int
  /// Prefill tokens of one step beside running decodes.
  public var mixedPrefillTokens: Int
  /// Tokens of the longest sequence, prompt and answer together.
  public var contextLength: Int

  public init(totalBlocks: Int, runningLimit: Int, stepTokens: Int, mixedPrefillTokens: Int, contextLength: Int) {
    self.totalBlocks = totalBlocks
    self.runningLimit = runningLimit
    self.stepTokens = stepTokens
    self.mixedPrefillTokens = mixedPrefillTokens
    self.contextLength = contextLength
  }
}

/// One node as the cluster knows it. Speeds are not in here: they are measured (``MeasuredSpeeds``).
public struct NodeDescription: Sendable, Hashable {
  /// The protocol between nodes that this build speaks; nodes of another one are never given work together.
  public static let currentProtocol = 1

  public var id: NodeID
  /// Grows with every start of a node of this id, so that what a dead predecessor still says is told apart.
  public var incarnation: Int
  public var addresses: NodeAddresses
  /// The name clients ask for.
  public var modelName: String
  public var model: ModelFingerprint
  /// The shape of a KV block on this node. Nodes of one model may differ in it.
  public var kv: KVShape
  public var capacity: NodeCapacity
  /// The role the node was started with; its role at the moment is in its load reports.
  public var homeRole: Role
  public var protocolVersion: Int

  public init(
    id: NodeID, incarnation: Int, addresses: NodeAddresses, modelName: String, model: ModelFingerprint, kv: KVShape,
    capacity: NodeCapacity, homeRole: Role, protocolVersion: Int = NodeDescription.currentProtocol
  ) {
    self.id = id
    self.incarnation = incarnation
    self.addresses = addresses
    self.modelName = modelName
    self.model = model
    self.kv = kv
    self.capacity = capacity
    self.homeRole = homeRole
    self.protocolVersion = protocolVersion
  }

  /// Whether `id` can be part of a key and of a URL: 1 to 128 of `A-Z a-z 0-9 . _ -`.
  public static func isValid(_ id: NodeID) -> Bool {
    let bytes = id.rawValue.utf8
    return (1...128).contains(bytes.count)
      && bytes.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
