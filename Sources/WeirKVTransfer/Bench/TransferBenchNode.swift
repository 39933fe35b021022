// What both processes of a bench have: a transport, an arena, a staging buffer.

import WeirBasics
import WeirKVCache

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One process of a transfer bench.
final class TransferBenchNode {
  let transport: UCXTransport
  let arena: BlockArena
  let staging: UnsafeMutableRawBufferPointer
  let clock = SystemClock()
  static let arenaRegion = RegionID(rawValue: 0)
  static let stagingRegion = RegionID(rawValue: 1)

  /// - Parameter processor: nil: wherever the system puts it.
  init(_ configuration: TransferBenchConfiguration, processor: Int?) throws {
    if let processor { LocalTransport.runOnProcessor(processor) }
    arena = try BlockArena(shape: configuration.shape, blockLimit: configuration.blockLimit)
    try arena.commit(BlockID(0)..<BlockID(configuration.blockLimit))
    staging = .allocate(byteCount: configuration.blocks * configuration.shape.blockBytes, alignment: 4096)
    staging.initializeMemory(as: UInt8.self, repeating: 0)
    transport = try UCXTransport(
      configuration: UCXConfiguration(path: configuration.path, control: LocalTransport.control()), clock: clock)
    _ = try transport.register(
      TransferMemory(
        address: UInt(bitPattern: arena.pointer(BlockID(0))),
        byteCount: configuration.blockLimit * configuration.shape.blockBytes))
    _ = try transport.register(TransferMemory(staging))
  }

  deinit {
    transport.close()
    staging.deallocate()
  }

  func bytes(_ block: BlockID) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: arena.pointer(block), count: arena.shape.blockBytes)
  }

  func checksum(_ blocks: [BlockID]) -> UInt64 {
    var sum = KVChecksum(seed: 0)
    for block in blocks { sum.add(UnsafeRawBufferPointer(bytes(block))) }
    return sum.value
  }

  /// Processor seconds of this process.
  static func cpuSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
  }
}
