// The payload of a handoff of lanes: it comes back as it was, and nothing that is damaged comes back at all.

import Testing
import WeirBasics
import WeirKVCache
import WeirKVTransfer

@Suite struct LaneParcelTests {
  private func parcel(seed: UInt64) -> LaneParcel {
    var generator = SeededGenerator(seed: seed)
    func pick(_ limit: Int) -> Int { Int(generator.next() % UInt64(limit)) }
    let (computed, lanes, signals) = (1 + pick(400), 1 + pick(6), pick(3))
    let isWhole = pick(4) == 0
    var positions: [[Int32]] = []
    if !isWhole {
      for lane in 0..<lanes {
        if lane > 0, pick(2) == 0 {
          positions.append(positions[lane - 1])
        } else {
          positions.append((0..<Int32(computed)).filter { _ in pick(3) == 0 })
        }
      }
    }
    let masses = (0..<lanes).map { lane in
      (0..<signals).map { _ in
        let isSilent = pick(3) == 0
        return (0..<(isWhole ? computed : positions[lane].count)).map { _ in isSilent ? 0 : Float(pick(1000)) / 7 }
      }
    }
    return LaneParcel(
      state: LaneState(
        computed: computed, answeredAt: pick(computed + 1), questions: isWhole ? 0 : 1 + pick(9),
        droppedSlots: pick(99),
        decodeTokens: pick(9), decodeSlots: pick(999), positions: positions, masses: masses),
      output: (0..<pick(64)).map { _ in Float(pick(1000)) - 500 })
  }

  private func read(_ bytes: [UInt8], as parcel: LaneParcel) throws(MessageFault) -> LaneParcel {
    try LaneParcel(bytes: bytes, computed: parcel.state.computed, lanes: parcel.state.masses.count)
  }

  @Test(arguments: 1...60) func comesBackAsItWas(seed: UInt64) throws {
    let parcel = parcel(seed: seed)
    #expect(try read(parcel.bytes, as: parcel) == parcel, "seed \(seed)")
  }

  @Test(arguments: 1...60) func damageIsNoticed(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let parcel = parcel(seed: seed)
    let bytes = parcel.bytes
    var damaged = bytes
    damaged[Int(generator.next() % UInt64(bytes.count))] ^= 1 << UInt8(generator.next() % 8)
    #expect(throws: MessageFault.self, "seed \(seed)") { try read(damaged, as: parcel) }
    let cut = Array(bytes.prefix(Int(generator.next() % UInt64(bytes.count))))
    #expect(throws: MessageFault.self, "seed \(seed)") { try read(cut, as: parcel) }
  }

  /// Also with a right checksum: whoever sends it may be wrong about everything else.
  @Test(arguments: 1...200) func nonsenseIsRefusedOrRead(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let parcel = parcel(seed: seed)
    var content = Array(parcel.bytes.dropLast(8))
    for _ in 0..<(1 + generator.next() % 4) {
      content[Int(generator.next() % UInt64(content.count))] = UInt8(truncatingIfNeeded: generator.next())
    }
    let sum = KVChecksum.value(of: content, seed: 0x6c61_6e65_73)
    let bytes = content + withUnsafeBytes(of: sum.littleEndian, Array.init)
    guard let read = try? read(bytes, as: parcel) else { return }
    #expect(read.state.masses.count == parcel.state.masses.count, "seed \(seed)")
    #expect(read.state.positions.allSatisfy { ($0.last ?? 0) < parcel.state.computed }, "seed \(seed)")
  }

  @Test func sharedPositionsAndSilenceAreSmall() {
    let held = (0..<Int32(1000)).map { $0 * 5 }
    func bytes(_ masses: (Int) -> [[Float]], distinct: Bool) -> Int {
      LaneParcel(
        state: LaneState(
          computed: 5000, answeredAt: 5000, questions: 1,
          positions: (0..<32).map { lane in distinct ? held.map { $0 + Int32(lane % 2) } : held },
          masses: (0..<32).map(masses)), output: []
      ).bytes.count
    }
    #expect(bytes({ _ in [] }, distinct: false) < 1200)
    #expect(bytes({ _ in [] }, distinct: true) < 32 * 1010)
    #expect(bytes({ _ in [Array(repeating: 1, count: 1000)] }, distinct: true) < 32 * 5010)
  }
}
