// Transports between the parts of one bench on one machine, each kept on a processor.

import CWeirMemory
import Synchronization
import WeirBasics
public import WeirKVCache

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Connections of a bench with itself. There is no secret to keep between its parts.
public enum LocalTransport {
  /// Two parts of one bench know each other by a checksum; it keeps nobody out.
  public static let authenticator = PeerAuthenticator { bytes in
    let sum = KVChecksum.value(of: bytes)
    return (0..<16).map { UInt8(truncatingIfNeeded: sum >> (8 * ($0 % 8))) }
  }

  /// Keeps the calling thread, and threads that it makes later, on one processor if the machine has it.
  public static func runOnProcessor(_ processor: Int) { _ = weir_run_on_processor(Int32(processor)) }

  static func control() -> ControlConfiguration {
    ControlConfiguration(authenticator: authenticator, nonce: nonce)
  }

  /// Not random, only different on both sides and in every run.
  private static let nonce: @Sendable () -> [UInt8] = {
    var generator = SeededGenerator(seed: SystemClock().now().nanoseconds ^ UInt64(getpid()) << 32)
    return (0..<HandshakeMessage.nonceBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
  }

  /// UCX on a thread of its own.
  ///
  /// - Parameters:
  ///   - path: how the bytes go.
  ///   - processor: where the thread stays; nil: wherever the system puts it.
  ///   - memory: regions to register, in order.
  ///   - onNews: see `TransportThread`.
  /// - Throws: `TransportError` if UCX is not to be had.
  public static func make(
    _ path: UCXConfiguration.Path, processor: Int?, memory: [TransferMemory],
    onNews: @escaping @Sendable () -> Void = {}
  ) throws(TransportError) -> any Transport {
    try TransportThread(memory: memory, onNews: onNews) { () throws(TransportError) in
      if let processor { runOnProcessor(processor) }
      return try UCXTransport(configuration: UCXConfiguration(path: path, control: control()), clock: SystemClock())
    }
  }
}

/// A switch between transfer styles that several threads see.
public final class TransferStyleSwitch: Sendable {
  private let box = Mutex(TransferStyle())

  public init() {}

  public var style: TransferStyle {
    get { box.withLock { $0 } }
    set { box.withLock { $0 = newValue } }
  }
}
