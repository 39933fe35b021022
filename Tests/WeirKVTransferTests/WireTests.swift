// Conversion against a twin that reads one element at a time, and what nodes may not differ in.

import Foundation
import Testing
import WeirBasics
import WeirKVTransfer

/// Plain reading and writing of stored elements, written from the formats' definitions.
enum SlowKV {
  static func half(_ bits: UInt16) -> Float {
    let exponent = Int(bits >> 10 & 31)
    let fraction = Float(bits & 1023)
    let sign: Float = bits >> 15 == 0 ? 1 : -1
    if exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
    if exponent == 0 { return sign * fraction * Float(sign: .plus, exponent: -24, significand: 1) }
    return sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
  }

  /// The half nearest to `value`, by looking at the candidates around it; ties go to the even pattern.
  static func nearestHalf(_ value: Float) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = Double(abs(value))
    if value.isNaN { return 0x7e00 }
    var low: UInt16 = 0
    var high: UInt16 = 0x7c00  // infinity
    while high - low > 1 {
      let middle = (low + high) / 2
      if Double(half(middle)) <= magnitude { low = middle } else { high = middle }
    }
    let above = high == 0x7c00 ? 65536.0 : Double(half(high))
    let (down, up) = (magnitude - Double(half(low)), above - magnitude)
    if down == up { return sign | (low & 1 == 0 ? low : high) }
    return sign | (down < up ? low : high)
  }

  static func bits16(_ bytes: ArraySlice<UInt8>) -> UInt16 {
    UInt16(bytes[bytes.startIndex]) | UInt16(bytes[bytes.startIndex + 1]) << 8
  }

  static func row(_ type: KVElementType, _ bytes: [UInt8], headDim: Int) -> [Float] {
    (0..<headDim).map { index in
      switch type {
      case .f32:
        let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[index * 4 + $1]) << UInt32(8 * $1) }
        return Float(bitPattern: word)
      case .f16: return half(bits16(bytes[(index * 2)...]))
      case .q8_0:
        let group = index / 32 * 34
        return half(bits16(bytes[group...])) * Float(Int8(bitPattern: bytes[group + 2 + index % 32]))
      case .q4_0:
        let group = index / 32 * 18
        let pair = bytes[group + 2 + index % 16]
        return half(bits16(bytes[group...])) * Float(Int(index % 32 < 16 ? pair & 15 : pair >> 4) - 8)
      }
    }
  }

  static func stored(_ type: KVElementType, _ row: [Float]) -> [UInt8] {
    func two(_ bits: UInt16) -> [UInt8] { [UInt8(bits & 255), UInt8(bits >> 8)] }
    switch type {
    case .f32: return row.flatMap { value in (0..<4).map { UInt8(value.bitPattern >> UInt32(8 * $0) & 255) } }
    case .f16: return row.flatMap { two(nearestHalf($0)) }
    case .q8_0:
      return stride(from: 0, to: row.count, by: 32).flatMap { start in
        let group = row[start..<(start + 32)]
        let scaleBits = nearestHalf((group.map { abs($0) }.max() ?? 0) / 127)
        let scale = half(scaleBits)
        let inverse = scale > 0 ? 1 / scale : 0
        return two(scaleBits)
          + group.map { UInt8(bitPattern: Int8(max(-127, min(127, ($0 * inverse).rounded(.toNearestOrEven))))) }
      }
    case .q4_0:
      return stride(from: 0, to: row.count, by: 32).flatMap { start in
        let group = Array(row[start..<(start + 32)])
        let largest = group.reduce(Float(0)) { abs($1) > abs($0) ? $1 : $0 }
        let scaleBits = nearestHalf(largest / -8)
        let scale = half(scaleBits)
        let inverse = scale != 0 ? 1 / scale : 0
        let codes = group.map { UInt8(max(0, min(15, ($0 * inverse).rounded(.toNearestOrEven) + 8))) }
        return two(scaleBits) + (0..<16).map { codes[$0] | codes[$0 + 16] << 4 }
      }
    }
  }
}

/// Blocks of one node as plain memory.
final class BlockMemory {
  let shape: KVShape
  let bytes: UnsafeMutableRawBufferPointer

  init(_ shape: KVShape, blocks: Int) {
    self.shape = shape
    bytes = .allocate(byteCount: shape.blockBytes * blocks, alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
  }

  deinit { bytes.deallocate() }

  func pointers(_ order: [Int]) -> [UnsafeMutableRawPointer] {
    order.compactMap { bytes.baseAddress?.advanced(by: $0 * shape.blockBytes) }
  }

  /// Where the row of a token lies.
  func row(_ order: [Int], token: Int, layer: Int, isKey: Bool, head: Int) -> Range<Int> {
    let block = order[token / shape.blockSlots] * shape.blockBytes
    let slot = token % shape.blockSlots
    let part = isKey ? shape.keyOffset(layer: layer) : shape.valueOffset(layer: layer)
    let size = isKey ? shape.keyRowBytes : shape.valueRowBytes
    let start = block + part + head * size * shape.blockSlots + slot * size
    return start..<(start + size)
  }

  subscript(range: Range<Int>) -> [UInt8] {
    get { Array(bytes[range]) }
    set { for (index, byte) in zip(range, newValue) { bytes[index] = byte } }
  }
}

@Suite struct WireConversionTests {
  private static let types = KVElementType.allCases
  private static let pairs = types.flatMap { a in types.map { (a, $0) } }

  @Test(arguments: pairs) func agreesWithTheSlowTwin(_ types: (KVElementType, KVElementType)) {
    for seed in 1...6 as ClosedRange<UInt64> { compare(types.0, types.1, seed: seed) }
  }

  private func compare(_ from: KVElementType, _ to: KVElementType, seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let (layers, headDim) = (2, 32 * (1 + Int(random.next() % 2)))
    func heads() -> Range<Int> {
      let first = Int(random.next() % 2)
      return first..<(2 + Int(random.next() % 3))
    }
    let (sourceHeads, destinationHeads) = (heads(), heads())
    func shape(_ type: KVElementType, _ heads: Range<Int>) -> KVShape {
      KVShape(
        layers: layers, kvHeads: heads.count, headDim: headDim, blockSlots: 1 + Int(random.next() % 9), keyType: type,
        valueType: type.isGrouped ? .f16 : type)
    }
    let (source, destination) = (shape(from, sourceHeads), shape(to, destinationHeads))
    let count = 5 + Int(random.next() % 20)
    let first = Int(random.next() % 5)
    let sourceOrder = Array((0..<source.blockCount(tokens: count)).map { $0 * 7 % 101 }.reversed())
    let destinationOrder = (0..<destination.blockCount(tokens: count)).map { $0 * 3 % 101 }
    let memory = BlockMemory(source, blocks: 101)
    let result = BlockMemory(destination, blocks: 101)
    var values: [Float] = (0..<headDim).map { _ in Float(random.normalDouble()) }
    for token in 0..<count {
      for layer in 0..<layers {
        for head in 0..<sourceHeads.count {
          for isKey in [true, false] {
            for index in values.indices { values[index] = Float(random.normalDouble() * 3) }
            let type = isKey ? source.keyType : source.valueType
            memory[memory.row(sourceOrder, token: token, layer: layer, isKey: isKey, head: head)] =
              SlowKV.stored(type, values)
          }
        }
      }
    }
    let conversion = WireConversion(
      source: source, sourceHeads: sourceHeads, destination: destination, destinationHeads: destinationHeads)
    conversion.convert(
      tokens: first..<count, from: memory.pointers(sourceOrder).map { UnsafeRawPointer($0) },
      to: result.pointers(destinationOrder))
    for token in 0..<count {
      for layer in 0..<layers {
        for head in destinationHeads {
          for isKey in [true, false] {
            let place = result.row(
              destinationOrder, token: token, layer: layer, isKey: isKey, head: head - destinationHeads.lowerBound)
            guard sourceHeads.contains(head), token >= first else {
              #expect(result[place].allSatisfy { $0 == 0xA5 }, "seed \(seed): an untouched row was written")
              continue
            }
            let stored = memory[
              memory.row(
                sourceOrder, token: token, layer: layer, isKey: isKey, head: head - sourceHeads.lowerBound)]
            let fromType = isKey ? source.keyType : source.valueType
            let toType = isKey ? destination.keyType : destination.valueType
            let expected =
              fromType == toType ? stored : SlowKV.stored(toType, SlowKV.row(fromType, stored, headDim: headDim))
            #expect(result[place] == expected, "seed \(seed), token \(token), head \(head), key \(isKey)")
          }
        }
      }
    }
  }

  @Test func everyHalfWidensExactlyAndComesBack() {
    let shape = KVShape(layers: 1, kvHeads: 1, headDim: 64, blockSlots: 1024, keyType: .f16, valueType: .f16)
    let wide = KVShape(layers: 1, kvHeads: 1, headDim: 64, blockSlots: 1024, keyType: .f32, valueType: .f32)
    let (halves, floats, back) = (
      BlockMemory(shape, blocks: 1), BlockMemory(wide, blocks: 1), BlockMemory(shape, blocks: 1)
    )
    for bits in 0..<65_536 {
      halves.bytes.storeBytes(of: UInt16(bits), toByteOffset: bits * 2, as: UInt16.self)
    }
    let there = WireConversion(source: shape, sourceHeads: 0..<1, destination: wide, destinationHeads: 0..<1)
    let home = WireConversion(source: wide, sourceHeads: 0..<1, destination: shape, destinationHeads: 0..<1)
    there.convert(
      tokens: 0..<1024, from: halves.pointers([0]).map { UnsafeRawPointer($0) }, to: floats.pointers([0]))
    home.convert(tokens: 0..<1024, from: floats.pointers([0]).map { UnsafeRawPointer($0) }, to: back.pointers([0]))
    var wrong = 0
    for bits in 0..<65_536 {
      let value = floats.bytes.load(fromByteOffset: bits * 4, as: Float.self)
      let expected = SlowKV.half(UInt16(bits))
      let returned = back.bytes.load(fromByteOffset: bits * 2, as: UInt16.self)
      if expected.isNaN {
        if !value.isNaN || !SlowKV.half(returned).isNaN { wrong += 1 }
      } else if value.bitPattern != expected.bitPattern || returned != UInt16(bits) {
        wrong += 1
      }
    }
    #expect(wrong == 0)
    #expect(there.isExact && !home.isExact && there.isComplete)
  }
}

@Suite struct WireAgreementTests {
  private let base = KVWireShape(
    shape: KVShape(layers: 4, kvHeads: 8, headDim: 64, blockSlots: 16, keyType: .f16, valueType: .f16),
    modelFingerprint: 7)

  @Test func equalNodesCopy() throws {
    let newest = KVWireShape.supportedVersions.upperBound
    #expect(try WireAgreement.negotiate(sender: base, receiver: base) == .direct(version: newest))
  }

  @Test func slotsTypesAndHeadsAreConverted() throws {
    for change in [
      { $0.blockSlots = 32 }, { $0.keyType = .q8_0 }, { $0.valueType = .f32 }, { $0.heads = 0..<4 },
    ] as [(inout KVWireShape) -> Void] {
      var other = base
      change(&other)
      guard case .convert(let plan, _) = try WireAgreement.negotiate(sender: base, receiver: other) else {
        Issue.record("\(other) is taken for equal")
        continue
      }
      #expect(plan.isComplete)
      guard case .convert(let back, _) = try WireAgreement.negotiate(sender: other, receiver: base) else { continue }
      #expect(back.isComplete == (other.heads == base.heads))
    }
  }

  @Test(arguments: WireField.allCases) func refusalsNameTheField(field: WireField) {
    var (sender, other) = (base, base)
    switch field {
    case .version: other.versions = 1...1
    case .model: other.modelFingerprint = 8
    case .layers: other.layers = 5
    case .kvHeads: other.kvHeads = 16
    case .heads: (sender.heads, other.heads) = (0..<4, 4..<8)
    case .headDim: other.headDim = 128
    case .keyType: (sender.headDim, other.headDim, other.keyType) = (48, 48, .q8_0)
    case .valueType: (sender.headDim, other.headDim, sender.valueType) = (48, 48, .q8_0)
    }
    #expect {
      try WireAgreement.negotiate(sender: sender, receiver: other)
    } throws: { error in
      guard let refusal = error as? WireRefusal else { return false }
      return refusal.field == field && refusal.message.contains(field.word)
    }
  }

  @Test func theHighestCommonFormatIsTaken() throws {
    var (sender, receiver) = (base, base)
    sender.versions = 1...4
    receiver.versions = 2...3
    #expect(try WireAgreement.negotiate(sender: sender, receiver: receiver).version == 3)
  }
}
