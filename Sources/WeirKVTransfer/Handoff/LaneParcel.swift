// What goes with the blocks of a sequence under a KV policy: its lanes' positions and masses, and where its prompt ended.

import WeirBasics
public import WeirKVCache

/// The payload of a handoff of lanes.
///
/// Bytes: version, counters, then for each lane its positions (as gaps, seven bits a byte; one mark if they are those of
/// the lane before) and its signals (one mark if all are 0), the output state, and XXH64 over everything before. A loaded
/// H2O lane of 1,000 slots takes about 5 KB.
public struct LaneParcel: Sendable, Equatable {
  public var state: LaneState
  /// The last prompt token's hidden state after the final norm: the receiver makes its logits, because the lanes no
  /// longer hold what they were computed from.
  public var output: [Float]

  public init(state: LaneState, output: [Float]) {
    self.state = state
    self.output = output
  }

  private static let version: UInt8 = 1
  private static let signalsMax: UInt64 = 8
  private static let sumSeed: UInt64 = 0x6c61_6e65_73

  /// The parcel as bytes.
  public var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(Self.version)
    for count in [
      state.computed, state.answeredAt, state.questions, state.droppedSlots, state.decodeTokens,
      state.decodeSlots, state.masses.count, state.masses.first?.count ?? 0,
    ] { writer.put(UInt64(count)) }
    writer.put(UInt8(state.positions.isEmpty ? 0 : 1))
    for lane in state.positions.indices {
      let held = state.positions[lane]
      guard lane == 0 || held != state.positions[lane - 1] else {
        writer.put(UInt8(1))
        continue
      }
      writer.put(UInt8(0))
      writer.put(count: held.count)
      var next: Int32 = 0
      for position in held {
        writer.put(gap: UInt32(position - next))
        next = position + 1
      }
    }
    for lane in state.masses {
      for row in lane {
        let isSilent = row.allSatisfy { $0.bitPattern == 0 }
        writer.put(UInt8(isSilent ? 1 : 0))
        if !isSilent { for value in row { writer.put(value.bitPattern) } }
      }
    }
    writer.put(count: output.count)
    for value in output { writer.put(value.bitPattern) }
    return writer.bytes + Self.sum(of: writer.bytes)
  }

  /// Reads a parcel.
  ///
  /// - Parameters:
  ///   - bytes: what came.
  ///   - computed: tokens that must have been computed.
  ///   - lanes: how many there must be.
  /// - Throws: `MessageFault` for anything that `bytes` of a sound node cannot be, damage included.
  public init(bytes: [UInt8], computed: Int, lanes: Int) throws(MessageFault) {
    guard bytes.count > 8 else { throw .truncated }
    let content = Array(bytes.dropLast(8))
    guard Self.sum(of: content) == Array(bytes.suffix(8)) else { throw .invalid("checksum") }
    var reader = ByteReader(content)
    guard try reader.byte() == Self.version else { throw .invalid("version") }
    guard try reader.number("computed", limit: 1 << 30) == computed else { throw .invalid("computed") }
    let answeredAt = try reader.number("answered_at", limit: 1 << 30)
    let questions = try reader.number("questions", limit: 1 << 40)
    let dropped = try reader.number("dropped_slots", limit: 1 << 56)
    let decodeTokens = try reader.number("decode_tokens", limit: 1 << 40)
    let decodeSlots = try reader.number("decode_slots", limit: 1 << 56)
    guard try reader.number("lanes", limit: 1 << 24) == lanes else { throw .invalid("lanes") }
    let signals = try reader.number("signals", limit: Self.signalsMax)
    var positions: [[Int32]] = []
    if try reader.byte() == 1 {
      for _ in 0..<lanes { positions.append(try Self.positions(&reader, before: positions.last, limit: computed)) }
    }
    var masses: [[[Float]]] = []
    for lane in 0..<lanes {
      let slots = positions.isEmpty ? computed : positions[lane].count
      var rows: [[Float]] = []
      for _ in 0..<signals { rows.append(try Self.numbers(&reader, count: slots)) }
      masses.append(rows)
    }
    let width = try reader.count("output", limit: reader.remaining / 4)
    output = []
    output.reserveCapacity(width)
    for _ in 0..<width { output.append(Float(bitPattern: try reader.integer())) }
    try reader.finish()
    state = LaneState(
      computed: computed, answeredAt: answeredAt, questions: questions, droppedSlots: dropped,
      decodeTokens: decodeTokens, decodeSlots: decodeSlots, positions: positions, masses: masses)
  }

  private static func positions(
    _ reader: inout ByteReader, before: [Int32]?, limit: Int
  ) throws(MessageFault) -> [Int32] {
    switch (try reader.byte(), before) {
    case (1, .some(let before)): return before
    case (0, _): break
    default: throw .invalid("positions")
    }
    let count = try reader.count("positions", limit: min(limit, reader.remaining))
    var held: [Int32] = []
    held.reserveCapacity(count)
    var next = 0
    for _ in 0..<count {
      let position = next + Int(try reader.gap())
      guard position < limit else { throw .invalid("positions") }
      held.append(Int32(position))
      next = position + 1
    }
    return held
  }

  private static func numbers(_ reader: inout ByteReader, count: Int) throws(MessageFault) -> [Float] {
    switch try reader.byte() {
    case 1: return Array(repeating: 0, count: count)
    case 0:
      guard reader.remaining / 4 >= count else { throw .truncated }
      var row: [Float] = []
      row.reserveCapacity(count)
      for _ in 0..<count { row.append(Float(bitPattern: try reader.integer())) }
      return row
    default: throw .invalid("masses")
    }
  }

  private static func sum(of bytes: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.put(KVChecksum.value(of: bytes, seed: sumSeed))
    return writer.bytes
  }
}

extension ByteWriter {
  /// A small number: seven bits a byte, the lowest first, the highest bit set on all but the last.
  fileprivate mutating func put(gap: UInt32) {
    var rest = gap
    while rest >= 0x80 {
      put(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    put(UInt8(rest))
  }
}

extension ByteReader {
  fileprivate mutating func gap() throws(MessageFault) -> UInt32 {
    var value: UInt32 = 0
    for shift in stride(from: UInt32(0), to: 35, by: 7) {
      let byte = try byte()
      guard shift < 28 || byte < 8 else { throw .invalid("gap") }
      value |= UInt32(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw .invalid("gap")
  }

  fileprivate mutating func number(_ field: String, limit: UInt64) throws(MessageFault) -> Int {
    let value = try integer(UInt64.self)
    guard value <= limit else { throw .tooLarge(field) }
    return Int(value)
  }
}
