// Handoff messages as bytes. Whatever comes in becomes a message or a typed fault.

import WeirBasics

extension HandoffMessage {
  /// Most blocks that one handoff may have.
  public static let blockLimit = 1 << 20
  /// Most bytes of an engine's payload.
  public static let payloadBytesLimit = 8 << 20
  /// Longest lease that is understood, in seconds.
  public static let leaseSecondsLimit = 3600.0

  /// The message as bytes.
  public var bytes: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .reserve(let id, let offer):
      // The kind of its own keeps offers without lanes as they have always been.
      head(offer.lanes == nil ? 1 : 9, id, &writer)
      if let lanes = offer.lanes {
        writer.put(count: lanes.slots)
        writer.put(lanes.policyHash)
      }
      offer.write(to: &writer)
    case .granted(let id, let grant):
      head(2, id, &writer)
      grant.write(to: &writer)
    case .written(let id, let epoch, let blocks):
      head(3, id, &writer)
      writer.put(epoch)
      writer.put(count: blocks)
    case .commit(let id, let commit):
      head(4, id, &writer)
      commit.tag.write(to: &writer)
      writer.put(commit.checksum)
      writer.put(commit.payload)
    case .adopted(let id, let epoch):
      head(5, id, &writer)
      writer.put(epoch)
    case .abort(let id, let refusal):
      head(6, id, &writer)
      refusal.write(to: &writer)
    case .quiet(let id):
      head(7, id, &writer)
    case .fetch(let id, let wish):
      head(8, id, &writer)
      writer.put(wish.request.rawValue)
      writer.put(UInt64(wish.firstPosition))
    }
    return writer.bytes
  }

  /// Reads a message.
  /// - Throws: `MessageFault` for anything that `bytes` of a sound node cannot be.
  public init(bytes: [UInt8]) throws(MessageFault) {
    var reader = ByteReader(bytes)
    let kind = try reader.byte()
    let id = HandoffID(incarnation: try reader.integer(), number: try reader.integer())
    switch kind {
    case 1: self = .reserve(id, try HandoffOffer(from: &reader, lanes: nil))
    case 2: self = .granted(id, try HandoffGrant(from: &reader))
    case 3:
      self = .written(id, epoch: try reader.integer(), blocks: try reader.count("blocks", limit: Self.blockLimit))
    case 4:
      let tag = try TransferTag(from: &reader)
      let checksum = try reader.integer(UInt64.self)
      let payload = try reader.array("payload", limit: Self.payloadBytesLimit)
      self = .commit(id, HandoffCommit(tag: tag, checksum: checksum, payload: payload))
    case 5: self = .adopted(id, epoch: try reader.integer())
    case 6: self = .abort(id, try HandoffRefusal(from: &reader))
    case 7: self = .quiet(id)
    case 8:
      let request = RequestID(try reader.string("request", limit: TransferTag.requestBytesLimit))
      let first = try reader.integer(UInt64.self)
      guard first < 1 << 40 else { throw .invalid("first_position") }
      self = .fetch(id, HandoffWish(request: request, firstPosition: Int(first)))
    case 9:
      let slots = try reader.count("lane_slots", limit: Int(Int32.max))
      guard slots > 0 else { throw .invalid("lane_slots") }
      let lanes = LaneOffer(slots: slots, policyHash: try reader.integer())
      self = .reserve(id, try HandoffOffer(from: &reader, lanes: lanes))
    default: throw .unknownKind(kind)
    }
    try reader.finish()
  }

  private func head(_ kind: UInt8, _ id: HandoffID, _ writer: inout ByteWriter) {
    writer.put(kind)
    writer.put(id.incarnation)
    writer.put(id.number)
  }
}

extension HandoffOffer {
  func write(to writer: inout ByteWriter) {
    writer.put(request.rawValue)
    shape.write(to: &writer)
    writer.put(UInt64(positions.lowerBound))
    writer.put(UInt64(positions.upperBound))
    writer.put(tokenHash)
    writer.put(saltHash)
    writer.put(count: runLengths.count)
    for length in runLengths { writer.put(count: length) }
    writer.put(leaseSeconds)
  }

  init(from reader: inout ByteReader, lanes: LaneOffer?) throws(MessageFault) {
    self.lanes = lanes
    request = RequestID(try reader.string("request", limit: TransferTag.requestBytesLimit))
    shape = try KVWireShape(from: &reader)
    let first = try reader.integer(UInt64.self)
    let end = try reader.integer(UInt64.self)
    guard first < end, end < 1 << 40 else { throw .invalid("positions") }
    positions = Int(first)..<Int(end)
    tokenHash = try reader.integer()
    saltHash = try reader.integer()
    let slots = lanes?.slots ?? positions.count
    guard slots <= positions.count else { throw .invalid("lane_slots") }
    let blocks = (slots + shape.blockSlots - 1) / shape.blockSlots
    guard blocks <= HandoffMessage.blockLimit else { throw .tooLarge("positions") }
    let runs = try reader.count("run_lengths", limit: blocks)
    runLengths = []
    var total = 0
    for _ in 0..<runs {
      let length = try reader.count("run_lengths", limit: blocks)
      total += length
      guard length > 0, total <= blocks else { throw .invalid("run_lengths") }
      runLengths.append(length)
    }
    leaseSeconds = try reader.double("lease_seconds")
    guard leaseSeconds > 0, leaseSeconds <= HandoffMessage.leaseSecondsLimit else { throw .invalid("lease_seconds") }
  }
}

extension HandoffGrant {
  /// Blocks travel as runs: one pair of numbers for a whole segment.
  func write(to writer: inout ByteWriter) {
    writer.put(epoch)
    writer.put(region)
    var runs: [(first: BlockID, count: Int)] = []
    for block in blocks {
      if let last = runs.last, last.first.index + last.count == block.index {
        runs[runs.count - 1].count += 1
      } else {
        runs.append((block, 1))
      }
    }
    writer.put(count: runs.count)
    for run in runs {
      writer.put(run.first.rawValue)
      writer.put(count: run.count)
    }
    writer.put(leaseSeconds)
  }

  init(from reader: inout ByteReader) throws(MessageFault) {
    epoch = try reader.integer()
    region = try reader.integer()
    let runs = try reader.count("blocks", limit: HandoffMessage.blockLimit)
    blocks = []
    for _ in 0..<runs {
      let first = try reader.integer(UInt32.self)
      let count = try reader.count("blocks", limit: HandoffMessage.blockLimit)
      guard count > 0, UInt64(first) + UInt64(count) < 1 << 31 else { throw .invalid("blocks") }
      guard blocks.count + count <= HandoffMessage.blockLimit else { throw .tooLarge("blocks") }
      for index in 0..<count { blocks.append(BlockID(Int(first) + index)) }
    }
    leaseSeconds = try reader.double("lease_seconds")
    guard leaseSeconds > 0, leaseSeconds <= HandoffMessage.leaseSecondsLimit else { throw .invalid("lease_seconds") }
  }
}
