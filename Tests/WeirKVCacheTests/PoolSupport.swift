// Small pools whose slots carry a tag derived from the tokens they stand for.

import WeirBasics
import WeirKVCache

let smallShape = KVShape(layers: 2, kvHeads: 2, headDim: 4, blockSlots: 4, keyType: .f32, valueType: .f16)

func makePool(
  blocks: Int, clock: ManualClock = ManualClock(startNanoseconds: 1_000_000_000), shape: KVShape = smallShape,
  change: (inout KVPoolConfiguration) -> Void = { _ in }
) throws -> BlockPool {
  var configuration = KVPoolConfiguration(shape: shape, blockLimit: blocks)
  change(&configuration)
  return try BlockPool(configuration: configuration, clock: clock)
}

func tokens(_ values: Range<UInt32>) -> [TokenID] { values.map { TokenID($0) } }

/// The tag of slot `count - 1` for a sequence that starts with these tokens: depends on every token up to there.
struct SlotTag {
  private var state: UInt64

  init(salt: String) { state = salt.utf8.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 } }

  mutating func next(_ token: TokenID) -> UInt64 {
    state = (state ^ UInt64(token.rawValue &+ 1)) &* 0x9E37_79B9_7F4A_7C15
    state ^= state >> 29
    return state
  }
}

extension BlockPool {
  /// Writes the tag of each of the slots `range` into every K and V row of it.
  func writeTags(_ table: BlockTable, _ tokens: [TokenID], _ range: Range<Int>) {
    var tag = SlotTag(salt: table.salt)
    for position in 0..<range.upperBound {
      let value = tag.next(tokens[position])
      guard range.contains(position) else { continue }
      forEachRow(table, position) { row, salt in row.storeBytes(of: value ^ salt, as: UInt64.self) }
    }
  }

  /// Slots of `0..<count` whose rows do not carry the tag of these tokens.
  func wrongSlots(_ table: BlockTable, _ tokens: [TokenID], count: Int) -> [Int] {
    var tag = SlotTag(salt: table.salt)
    var wrong: [Int] = []
    for position in 0..<count {
      let value = tag.next(tokens[position])
      var isRight = true
      forEachRow(table, position) { row, salt in isRight = isRight && row.load(as: UInt64.self) == value ^ salt }
      if !isRight { wrong.append(position) }
    }
    return wrong
  }

  private func forEachRow(_ table: BlockTable, _ position: Int, _ body: (UnsafeMutableRawPointer, UInt64) -> Void) {
    let block = blockPointer(table.blocks[position / shape.blockSlots])
    let slot = position % shape.blockSlots
    for layer in 0..<shape.layers {
      for head in 0..<shape.kvHeads {
        let salt = UInt64(layer * 64 + head)
        body(block + shape.keyOffset(layer: layer) + head * shape.keyHeadStride + slot * shape.keyRowBytes, salt)
        body(
          block + shape.valueOffset(layer: layer) + head * shape.valueHeadStride + slot * shape.valueRowBytes,
          salt ^ 0xFFFF)
      }
    }
  }

  /// Runs a whole sequence: match, open, compute the rest, close. Returns the tokens reused, nil without room.
  @discardableResult func run(_ tokens: [TokenID], salt: String = "", keep: Bool = true, priority: Int = 0) -> Int? {
    guard var table = open(match(tokens, salt: salt), priority: priority) else { return nil }
    let reused = table.filledSlots
    guard reserve(&table, slots: tokens.count) else {
      close(table, tokens: tokens, filledSlots: reused, salt: salt, keep: false)
      return nil
    }
    writeTags(table, tokens, reused..<tokens.count)
    commit(&table, tokens: tokens, filledSlots: tokens.count, salt: salt)
    close(table, tokens: tokens, filledSlots: tokens.count, salt: salt, keep: keep)
    return reused
  }
}

extension BlockPool {
  /// Tags of the first slots of a lane, keys and values.
  func laneTags(_ table: BlockTable, lane: Int, count: Int) -> [UInt64] {
    let (layer, head) = (lane / shape.kvHeads, lane % shape.kvHeads)
    return (0..<count).flatMap { slot -> [UInt64] in
      let block = blockPointer(table.blocks[slot / shape.blockSlots])
      let key = shape.keyOffset(layer: layer) + head * shape.keyHeadStride
      let value = shape.valueOffset(layer: layer) + head * shape.valueHeadStride
      return [
        (block + key + slot % shape.blockSlots * shape.keyRowBytes).load(as: UInt64.self),
        (block + value + slot % shape.blockSlots * shape.valueRowBytes).load(as: UInt64.self),
      ]
    }
  }

  /// The tags that the slots of `positions` were written with.
  func tags(_ tokens: [TokenID], of positions: [Int], lane: Int) -> [UInt64] {
    var tag = SlotTag(salt: "")
    let values = tokens.map { tag.next($0) }
    let salt = UInt64(lane / shape.kvHeads * 64 + lane % shape.kvHeads)
    return positions.flatMap { [values[$0] ^ salt, values[$0] ^ salt ^ 0xFFFF] }
  }

  /// Writes the tags of the next `rows` tokens at the end of every lane.
  func writeLaneTags(_ table: BlockTable, _ lanes: LaneTable, _ all: [TokenID], rows: Int) {
    for lane in lanes.counts.indices {
      let written = tags(all, of: Array(lanes.computed..<lanes.computed + rows), lane: lane)
      let (layer, head) = (lane / shape.kvHeads, lane % shape.kvHeads)
      for row in 0..<rows {
        let slot = Int(lanes.counts[lane]) + row
        let block = blockPointer(table.blocks[slot / shape.blockSlots])
        let key = shape.keyOffset(layer: layer) + head * shape.keyHeadStride
        let value = shape.valueOffset(layer: layer) + head * shape.valueHeadStride
        (block + key + slot % shape.blockSlots * shape.keyRowBytes).storeBytes(of: written[2 * row], as: UInt64.self)
        (block + value + slot % shape.blockSlots * shape.valueRowBytes).storeBytes(
          of: written[2 * row + 1], as: UInt64.self)
      }
    }
  }
}
