// The address range that blocks are carved from: reserved large, backed by memory on demand.

import CWeirMemory
public import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One memfd-backed range that holds `blockLimit` blocks side by side, block `b` at byte `b * shape.blockBytes`.
///
/// Address space is reserved at once and costs nothing. Memory is committed in pieces of `pieceBytes` when a block in
/// them is first handed out, with `MADV_POPULATE_WRITE`, so that a shortage is an error here and never a fault inside
/// a kernel, and the first write of a slot does not pay page faults. Neighbouring blocks are one byte range (FlowKV),
/// and another process may map `fileDescriptor` to see the same pages.
///
/// Huge pages are not asked for: `MADV_COLLAPSE` succeeded on the machine we measured on, cost 0.65 ms per 2 MiB and
/// changed streaming writes and random reads by less than the spread between runs (docs: WeirKVCache.md).
///
/// Ownership: the arena owns the mapping and the descriptor until it is destroyed; pointers it hands out are valid
/// that long, and only for committed blocks. It is not `Sendable`: one thread (the step loop) calls it, while worker
/// threads may read and write through pointers that this thread lent them for one step.
public final class BlockArena {
  public let shape: KVShape
  /// Blocks that the range has room for.
  public let blockLimit: Int
  /// The memfd; owned by the arena.
  public let fileDescriptor: Int32
  /// Granularity of commit, a multiple of 2 MiB.
  public static let pieceBytes = 2 << 20
  /// Bytes backed by memory now; equals what `fstat` says of the file.
  public private(set) var committedBytes = 0

  @usableFromInline let base: UnsafeMutableRawPointer
  private let mapping: UnsafeMutableRawPointer
  private let mappingBytes: Int
  private let rangeBytes: Int
  private var isPieceCommitted: [Bool]

  /// Reserves address space for `blockLimit` blocks; commits nothing.
  /// - Throws: `KVCacheError` if the limit is not in `1..<2^31` or the system refuses the reservation.
  public init(shape: KVShape, blockLimit: Int) throws(KVCacheError) {
    guard blockLimit > 0, blockLimit < 1 << 31 else {
      throw .invalid("the block limit must be between 1 and 2147483647, got \(blockLimit)")
    }
    let piece = BlockArena.pieceBytes
    let (bytes, overflow) = shape.blockBytes.multipliedReportingOverflow(by: blockLimit)
    guard !overflow, bytes < 1 << 46 else {
      throw .invalid("\(blockLimit) blocks of \(shape.blockBytes) bytes do not fit an address range of 64 TiB")
    }
    let range = (bytes + piece - 1) / piece * piece
    let descriptor = weir_memory_create("weir-kv", Int64(range))
    guard descriptor >= 0 else {
      throw .memory("the system refused a memory file of \(range) bytes: \(String(cString: strerror(-descriptor)))")
    }
    // One piece more than needed, so that pieces can start on their own alignment.
    guard
      let reserved = mmap(nil, range + piece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      reserved != MAP_FAILED
    else {
      close(descriptor)
      throw .memory("the system refused to reserve \(range + piece) bytes of address space")
    }
    let start = reserved.alignedUp(toMultipleOf: piece)
    guard
      mmap(start, range, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, descriptor, 0) != MAP_FAILED
    else {
      munmap(reserved, range + piece)
      close(descriptor)
      throw .memory("the system refused to map a memory file of \(range) bytes")
    }
    self.shape = shape
    self.blockLimit = blockLimit
    self.fileDescriptor = descriptor
    self.base = start
    self.mapping = reserved
    self.mappingBytes = range + piece
    self.rangeBytes = range
    self.isPieceCommitted = Array(repeating: false, count: range / piece)
  }

  deinit {
    munmap(mapping, mappingBytes)
    close(fileDescriptor)
  }

  /// The first byte of `block`. The block must be committed before it is touched.
  @inlinable public func pointer(_ block: BlockID) -> UnsafeMutableRawPointer {
    precondition(block.index < blockLimit, "block outside the arena")
    return base + block.index * shape.blockBytes
  }

  /// Backs all bytes of `blocks` with memory; already committed pieces are skipped. New memory reads as zero.
  /// - Throws: `KVCacheError` if the system has no memory; pieces committed before the failure stay committed.
  public func commit(_ blocks: Range<BlockID>) throws(KVCacheError) {
    guard !blocks.isEmpty else { return }
    precondition(blocks.upperBound.index <= blockLimit, "block outside the arena")
    let piece = BlockArena.pieceBytes
    let first = blocks.lowerBound.index * shape.blockBytes / piece
    let last = (blocks.upperBound.index * shape.blockBytes - 1) / piece
    for index in first...last where !isPieceCommitted[index] {
      guard madvise(base + index * piece, piece, MADV_POPULATE_WRITE) == 0 else {
        let reason = String(cString: strerror(errno))
        // A part of the piece may be backed already: give it back, so that `committedBytes` stays true.
        _ = weir_memory_punch(fileDescriptor, Int64(index * piece), Int64(piece))
        throw .memory("the system refused \(piece) bytes of memory for KV blocks: \(reason)")
      }
      isPieceCommitted[index] = true
      committedBytes += piece
    }
  }

  /// Gives memory back to the system: every piece that lies wholly inside `blocks` (the end of the last block counts as
  /// the end of the range). Contents are lost.
  /// - Returns: bytes given back.
  @discardableResult public func decommit(_ blocks: Range<BlockID>) -> Int {
    guard !blocks.isEmpty else { return 0 }
    precondition(blocks.upperBound.index <= blockLimit, "block outside the arena")
    let piece = BlockArena.pieceBytes
    let first = (blocks.lowerBound.index * shape.blockBytes + piece - 1) / piece
    let endByte = blocks.upperBound.index == blockLimit ? rangeBytes : blocks.upperBound.index * shape.blockBytes
    let end = endByte / piece
    var returned = 0
    var index = first
    while index < end {
      if isPieceCommitted[index], weir_memory_punch(fileDescriptor, Int64(index * piece), Int64(piece)) == 0 {
        isPieceCommitted[index] = false
        committedBytes -= piece
        returned += piece
      }
      index += 1
    }
    return returned
  }

  /// What the system says backs the arena now; for tests and reports.
  public var backedBytes: Int { Int(weir_memory_backed_bytes(fileDescriptor)) }
}
