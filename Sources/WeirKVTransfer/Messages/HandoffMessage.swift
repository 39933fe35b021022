// What the two sides of a handoff say to each other.

public import WeirBasics

/// Names a handoff: the sender's incarnation and a number that it never uses again.
public struct HandoffID: Hashable, Sendable, CustomStringConvertible {
  /// Drawn when the sending process started, so that a restarted node is another one.
  public var incarnation: UInt64
  public var number: UInt64

  public init(incarnation: UInt64, number: UInt64) {
    self.incarnation = incarnation
    self.number = number
  }

  public var description: String { "h\(number)@\(String(incarnation, radix: 16))" }
}

/// What the sender asks room for.
public struct HandoffOffer: Hashable, Sendable {
  public var request: RequestID
  public var shape: KVWireShape
  /// Positions that will be sent; the receiver has those before them.
  public var positions: Range<Position>
  public var tokenHash: UInt64
  public var saltHash: UInt64
  /// Not nil: a KV policy has dropped slots, and the rest of `positions` travels in its lanes.
  public var lanes: LaneOffer?
  /// Lengths of the sender's runs of consecutive blocks: the receiver allocates runs of the same lengths.
  public var runLengths: [Int]
  /// How long the receiver shall keep the room, in seconds.
  public var leaseSeconds: Double

  public init(
    request: RequestID, shape: KVWireShape, positions: Range<Position>, tokenHash: UInt64, saltHash: UInt64,
    runLengths: [Int], leaseSeconds: Double, lanes: LaneOffer? = nil
  ) {
    self.lanes = lanes
    self.request = request
    self.shape = shape
    self.positions = positions
    self.tokenHash = tokenHash
    self.saltHash = saltHash
    self.runLengths = runLengths
    self.leaseSeconds = leaseSeconds
  }

  /// Slots that will come, from the first of the first block on.
  public var sentSlots: Int { lanes?.slots ?? positions.count }
  /// Blocks of the sender that will come.
  public var senderBlocks: Int { (sentSlots + shape.blockSlots - 1) / shape.blockSlots }
}

/// How KV travels of which a policy has dropped a part. Positions and masses come with the commit, as its payload.
public struct LaneOffer: Hashable, Sendable {
  /// Slots of the longest lane.
  public var slots: Int
  /// Hash of the policy, its budget and the tokens that count as its prompt: two nodes must mean the same.
  public var policyHash: UInt64

  public init(slots: Int, policyHash: UInt64) {
    self.slots = slots
    self.policyHash = policyHash
  }
}

/// Room that the receiver keeps for the sender to write into.
public struct HandoffGrant: Hashable, Sendable {
  /// Never used twice by this receiver.
  public var epoch: UInt64
  /// Region of the receiver that the blocks lie in.
  public var region: UInt32
  /// Bytes of one block there: the sender's block size, because conversion happens at the receiver.
  public var blocks: [BlockID]
  /// How long the sender may write, in seconds from now.
  public var leaseSeconds: Double

  public init(epoch: UInt64, region: UInt32, blocks: [BlockID], leaseSeconds: Double) {
    self.epoch = epoch
    self.region = region
    self.blocks = blocks
    self.leaseSeconds = leaseSeconds
  }
}

/// What the sender says when everything is written.
public struct HandoffCommit: Hashable, Sendable {
  public var tag: TransferTag
  /// Checksum of the tag and of all blocks, see `KVChecksum`.
  public var checksum: UInt64
  /// What the engine hands over besides KV (first token, sampler state); opaque here.
  public var payload: [UInt8]

  public init(tag: TransferTag, checksum: UInt64, payload: [UInt8]) {
    self.tag = tag
    self.checksum = checksum
    self.payload = payload
  }
}

/// What a node asks for that was told where KV is kept for it.
public struct HandoffWish: Hashable, Sendable {
  /// The request that the KV was computed for.
  public var request: RequestID
  /// Positions before this one are there already; the sender may go back to the start of a block.
  public var firstPosition: Position

  public init(request: RequestID, firstPosition: Position) {
    self.request = request
    self.firstPosition = firstPosition
  }
}

/// One message of the handoff protocol.
public enum HandoffMessage: Hashable, Sendable {
  /// Receiver, before everything else: hand me what you keep under this name.
  case fetch(HandoffID, HandoffWish)
  /// Sender: may I?
  case reserve(HandoffID, HandoffOffer)
  /// Receiver: here is room.
  case granted(HandoffID, HandoffGrant)
  /// Sender: the first `blocks` blocks are written.
  case written(HandoffID, epoch: UInt64, blocks: Int)
  /// Sender: everything is written.
  case commit(HandoffID, HandoffCommit)
  /// Receiver: the KV is mine now.
  case adopted(HandoffID, epoch: UInt64)
  /// Either side: it is over. The sender answers with `quiet`.
  case abort(HandoffID, HandoffRefusal)
  /// Sender: nothing of mine is in flight any more, the room may be used again.
  case quiet(HandoffID)

  public var handoff: HandoffID {
    switch self {
    case .reserve(let id, _), .granted(let id, _), .written(let id, _, _), .commit(let id, _), .adopted(let id, _),
      .abort(let id, _), .quiet(let id), .fetch(let id, _):
      id
    }
  }
}
