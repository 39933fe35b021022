// The arena's promises about real memory.

import Testing
import WeirBasics
import WeirKVCache

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct BlockArenaTests {
  /// 96 KiB a block: pieces and blocks do not line up.
  let shape = KVShape(layers: 3, kvHeads: 2, headDim: 64, blockSlots: 32, keyType: .f32, valueType: .f32)

  @Test func reservingCostsNothingAndCommittedBytesAreReal() throws {
    let arena = try BlockArena(shape: shape, blockLimit: 1_000_000)
    #expect(arena.committedBytes == 0 && arena.backedBytes == 0)
    try arena.commit(5..<6)
    #expect(arena.committedBytes == BlockArena.pieceBytes)
    #expect(arena.backedBytes == arena.committedBytes)
    // Block 21 lies across the border of two pieces.
    try arena.commit(21..<22)
    #expect(arena.committedBytes == 2 * BlockArena.pieceBytes)
    try arena.commit(0..<200)
    #expect(arena.backedBytes == arena.committedBytes)
    #expect(arena.committedBytes >= 200 * shape.blockBytes)
    #expect(arena.committedBytes < 200 * shape.blockBytes + BlockArena.pieceBytes)
  }

  @Test func committedPagesAreResident() throws {
    let arena = try BlockArena(shape: shape, blockLimit: 100)
    try arena.commit(0..<3)
    var residency = Array(repeating: UInt8(0), count: BlockArena.pieceBytes / 4096)
    let isRead = mincore(arena.pointer(0), BlockArena.pieceBytes, &residency) == 0
    #expect(isRead && residency.allSatisfy { $0 & 1 == 1 })
  }

  @Test func decommitGivesWholePiecesBackAndKeepsNeighbours() throws {
    let arena = try BlockArena(shape: shape, blockLimit: 100)
    try arena.commit(0..<100)
    let full = arena.committedBytes
    for index in 0..<100 { arena.pointer(BlockID(index)).storeBytes(of: UInt64(index), as: UInt64.self) }
    let returned = arena.decommit(10..<60)
    #expect(returned > 0 && returned % BlockArena.pieceBytes == 0)
    #expect(arena.committedBytes == full - returned && arena.backedBytes == arena.committedBytes)
    for index in [0, 9, 60, 99] {
      #expect(arena.pointer(BlockID(index)).load(as: UInt64.self) == UInt64(index))
    }
    try arena.commit(10..<60)
    #expect(arena.committedBytes == full)
    #expect(arena.decommit(0..<100) == full)
    #expect(arena.backedBytes == 0)
  }

  @Test func anotherMappingSeesTheSamePages() throws {
    let arena = try BlockArena(shape: shape, blockLimit: 10)
    try arena.commit(0..<10)
    arena.pointer(3).storeBytes(of: 77, as: UInt64.self)
    let bytes = 10 * shape.blockBytes
    let second = try #require(mmap(nil, bytes, PROT_READ, MAP_SHARED, arena.fileDescriptor, 0))
    defer { munmap(second, bytes) }
    #expect(second != MAP_FAILED)
    #expect(second.load(fromByteOffset: 3 * shape.blockBytes, as: UInt64.self) == 77)
  }

  @Test(arguments: [0, 1, 7, 31, 32]) func copiesExactlyTheFirstSlots(slots: Int) throws {
    let odd = KVShape(layers: 2, kvHeads: 3, headDim: 32, blockSlots: 32, keyType: .q8_0, valueType: .f16)
    let arena = try BlockArena(shape: odd, blockLimit: 2)
    try arena.commit(0..<2)
    arena.pointer(0).initializeMemory(as: UInt8.self, repeating: 0xAB, count: odd.blockBytes)
    arena.copySlots(slots, from: 0, to: 1)
    let copied = UnsafeRawBufferPointer(start: arena.pointer(1), count: odd.blockBytes).filter { $0 == 0xAB }.count
    let isWhole = slots == odd.blockSlots
    #expect(copied == (isWhole ? odd.blockBytes : slots * odd.tokenBytes))
    if slots > 0, !isWhole {
      let lastValue = odd.valueOffset(layer: 1) + 2 * odd.valueHeadStride + slots * odd.valueRowBytes
      #expect(arena.pointer(1).load(fromByteOffset: lastValue - 1, as: UInt8.self) == 0xAB)
      #expect(arena.pointer(1).load(fromByteOffset: lastValue, as: UInt8.self) == 0)
    }
  }

  @Test func refusesImpossibleSizes() {
    #expect(throws: KVCacheError.self) { _ = try BlockArena(shape: shape, blockLimit: 0) }
    #expect(throws: KVCacheError.self) { _ = try BlockArena(shape: shape, blockLimit: 1 << 30) }
  }
}
