// The digest of one block.

import CWeirKernels

/// Digests blocks, each for itself: before anybody asks for them, in any order, and at the speed of memory.
///
/// XXH3 (64 bits, no seed) of the block's bytes; XXH64 of blocks under 241 bytes, which have other formulas there and
/// which no real model has. The value does not depend on the processor.
public struct KVDigest {
  private let function: @convention(c) (UnsafeRawPointer?, Int) -> UInt64

  /// With the fastest instructions that this processor has.
  public init() {
    for isa in [WEIR_ISA_AVX512, WEIR_ISA_AVX2, WEIR_ISA_SCALAR] {
      guard let found = weir_digest_kernels_for(isa)?.pointee.digest else { continue }
      function = found
      return
    }
    preconditionFailure("plain C runs on every processor")
  }

  /// The digest of one block.
  public func value(of block: UnsafeRawBufferPointer) -> UInt64 {
    guard block.count < WEIR_DIGEST_LEAST else { return function(block.baseAddress, block.count) }
    var sum = KVChecksum(seed: 0)
    sum.add(block)
    return sum.value
  }
}
