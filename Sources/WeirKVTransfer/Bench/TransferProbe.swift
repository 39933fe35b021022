// What the transport itself can do: one call for many bytes that lie in one place.

import WeirBasics
import WeirKVCache

/// Two transports like those of two engines, with a buffer each and nothing else to do.
public final class TransferProbe {
  private let sender: any Transport
  private let receiver: any Transport
  private let source: UnsafeMutableRawBufferPointer
  private let destination: UnsafeMutableRawBufferPointer
  private var peer = PeerID(rawValue: 0)
  private let clock = SystemClock()

  /// - Parameters:
  ///   - path: how the bytes go.
  ///   - byteCount: bytes of the call, at least 1.
  ///   - processors: where the two transports' threads stay; nil: wherever the system puts them.
  /// - Throws: `TransportError` if there is no connection.
  public init(
    path: UCXConfiguration.Path, byteCount: Int, processors: (sender: Int, receiver: Int)?
  ) throws(TransportError) {
    source = .allocate(byteCount: byteCount, alignment: 4096)
    destination = .allocate(byteCount: byteCount, alignment: 4096)
    source.initializeMemory(as: UInt8.self, repeating: 1)
    destination.initializeMemory(as: UInt8.self, repeating: 0)
    sender = try LocalTransport.make(path, processor: processors?.sender, memory: [TransferMemory(source)])
    receiver = try LocalTransport.make(path, processor: processors?.receiver, memory: [TransferMemory(destination)])
    let deadline = clock.now().advanced(bySeconds: 10)
    peer = try sender.connect(to: receiver.address, deadline: deadline)
    _ = try waitFor(deadline) { if case .connected = $0 { true } else { false } }
  }

  deinit {
    sender.close()
    receiver.close()
    source.deallocate()
    destination.deallocate()
  }

  /// Makes the call once and checks that the bytes came.
  ///
  /// - Parameter pieceBytes: longest piece, see `TransferPlan.pieces`; nil: all in one call.
  /// - Throws: `TransportError` if it fails or the bytes differ.
  public func measure(pieceBytes: Int? = nil) throws(TransportError) -> OperationReport {
    source.storeBytes(of: source.load(as: UInt8.self) &+ 1, as: UInt8.self)
    let whole = CoRun(source: BlockID(0), destination: BlockID(0), count: 1)
    let deadline = clock.now().advanced(bySeconds: 60)
    let region = RegionID(rawValue: 0)
    _ = try sender.put(
      TransferPlan.pieces([whole], blockBytes: source.count, pieceBytes: pieceBytes), from: region, to: peer,
      region: region, deadline: deadline)
    let event = try waitFor(deadline) { if case .completed = $0 { true } else { false } }
    guard case .completed(_, let report) = event, destination.load(as: UInt8.self) == source.load(as: UInt8.self) else {
      throw TransportError(.protocolFault, "the probe's bytes did not come")
    }
    return report
  }

  private func waitFor(
    _ deadline: Instant, _ isIt: (TransportEvent) -> Bool
  ) throws(TransportError) -> TransportEvent {
    while clock.now() < deadline {
      for event in sender.poll() {
        if isIt(event) { return event }
        if case .failed(_, let error) = event { throw error }
        if case .lost(_, let error) = event { throw error }
      }
      sender.wait(seconds: 0.01)
    }
    throw TransportError(.deadlinePassed, "the probe's peer did not answer")
  }
}
