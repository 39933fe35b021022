// A thread that does nothing but move bytes, for an owner that is busy computing.

import Foundation
import Synchronization
public import WeirBasics
import WeirKVCache

/// Runs a transport on a thread of its own and looks like one.
///
/// Data over TCP arrives only while its receiver polls, and a step of the engine can take a tenth of a second. Here the
/// thread polls; the owner posts commands into an inbox and takes news out of an outbox, both short locks. Peers and
/// calls carry this object's own numbers, so that a post needs no answer from the thread; what a call is refused for
/// comes as its `failed`.
///
/// When idle the thread spins for `spinSeconds` and then sleeps until there are news or commands, at most `napSeconds`: so
/// long waits a command over a transport that cannot be woken from outside.
public final class TransportThread: Transport {
  private enum Command: Sendable {
    case connect(PeerID, String, Instant)
    case move(OperationID, TransferCall)
    case send(OperationID, [UInt8], PeerID, Instant)
    case cancel(OperationID)
    case disconnect(PeerID)
    case close
  }

  private struct Boxes: Sendable {
    var commands: [Command] = []
    var events: [TransportEvent] = []
    var nextPeer: UInt32 = 0
    var isClosed = false
    /// The thread sleeps, or is about to, and nobody has rung yet.
    var isNapping = false
  }

  /// Locks and waits; shared by owner and thread.
  private final class Shared: Sendable {
    let boxes = Mutex(Boxes())
    let doorbell = Doorbell()
    let newEvents = DispatchSemaphore(value: 0)
    let ended = DispatchSemaphore(value: 0)
    let onNews: @Sendable () -> Void

    init(onNews: @escaping @Sendable () -> Void) { self.onNews = onNews }

    /// Leaves commands for the thread; nil: it is closed.
    func order<Value: Sendable>(_ body: (inout Boxes) -> Value) -> Value? {
      boxes.withLock { boxes -> Value? in
        guard !boxes.isClosed else { return nil }
        // Under the lock: whoever sees that it was rung finds the ring, and silences it.
        if boxes.isNapping { doorbell.ring() }
        boxes.isNapping = false
        return body(&boxes)
      }
    }

    /// Sleeps in `body` unless there is something to do.
    func nap(_ body: () -> Void) {
      let mayNap = boxes.withLock { boxes in
        boxes.isNapping = boxes.commands.isEmpty
        return boxes.isNapping
      }
      guard mayNap else { return }
      body()
      let wasRung = boxes.withLock { boxes in
        defer { boxes.isNapping = false }
        return !boxes.isNapping
      }
      if wasRung { doorbell.silence() }
    }
  }

  public let address: String
  private let shared: Shared
  private var nextOperation: UInt64 = 0

  /// Starts the thread and makes the transport on it.
  ///
  /// - Parameters:
  ///   - memory: regions to register, in order; later registrations are refused.
  ///   - spinSeconds: how long the thread looks for news before it sleeps.
  ///   - napSeconds: longest sleep.
  ///   - onNews: called on the thread when `poll` has something; must be quick. Wakes an owner that sleeps elsewhere.
  ///   - make: makes the transport; called on the thread.
  /// - Throws: what `make` or a registration throws.
  public init(
    memory: [TransferMemory], spinSeconds: Double = 50e-6, napSeconds: Double = 1e-3,
    onNews: @escaping @Sendable () -> Void = {},
    make: @escaping @Sendable () throws(TransportError) -> any Transport
  ) throws(TransportError) {
    let shared = Shared(onNews: onNews)
    self.shared = shared
    let report = StartReport()
    let thread = Thread {
      let transport: any Transport
      do throws(TransportError) {
        transport = try make()
        for one in memory { _ = try transport.register(one) }
      } catch {
        report.set(.failure(error))
        return
      }
      report.set(.success(transport.address))
      let loop = Loop(transport: transport, shared: shared, spinSeconds: spinSeconds, napSeconds: napSeconds)
      loop.run()
    }
    thread.name = "weir-transfer"
    thread.start()
    address = try report.wait().get()
  }

  public func register(_ memory: TransferMemory) throws(TransportError) -> RegionID {
    throw TransportError(.unavailable, "memory is registered when the thread starts")
  }

  public func connect(to address: String, deadline: Instant) throws(TransportError) -> PeerID {
    let peer = shared.order { boxes in
      let peer = PeerID(rawValue: boxes.nextPeer)
      boxes.nextPeer += 1
      boxes.commands.append(.connect(peer, address, deadline))
      return peer
    }
    guard let peer else { throw TransportError(.closed, "the transport was closed") }
    return peer
  }

  public func post(_ call: TransferCall) throws(TransportError) -> OperationID {
    let operation = newOperation()
    try post(.move(operation, call))
    return operation
  }

  public func send(_ message: [UInt8], to peer: PeerID, deadline: Instant) throws(TransportError) -> OperationID {
    let operation = newOperation()
    try post(.send(operation, message, peer, deadline))
    return operation
  }

  public func cancel(_ operation: OperationID) { try? post(.cancel(operation)) }

  public func disconnect(_ peer: PeerID) { try? post(.disconnect(peer)) }

  public func poll() -> [TransportEvent] {
    shared.boxes.withLock { boxes in
      defer { boxes.events.removeAll(keepingCapacity: true) }
      return boxes.events
    }
  }

  public func wait(seconds: Double) {
    guard shared.boxes.withLock({ $0.events.isEmpty }) else { return }
    _ = shared.newEvents.wait(timeout: .now() + seconds)
  }

  public func close() {
    let isFirst: Void? = shared.order { boxes in
      boxes.commands.append(.close)
      boxes.isClosed = true
    }
    // The owner's memory is used until the thread has ended its transport.
    if isFirst != nil { shared.ended.wait() }
  }

  deinit { close() }

  private func newOperation() -> OperationID {
    defer { nextOperation += 1 }
    return OperationID(rawValue: nextOperation)
  }

  private func post(_ command: Command) throws(TransportError) {
    guard shared.order({ $0.commands.append(command) }) != nil else {
      throw TransportError(.closed, "the transport was closed")
    }
  }

  /// What the starting thread tells its maker, once.
  private final class StartReport: Sendable {
    private let result = Mutex<Result<String, TransportError>?>(nil)
    private let isThere = DispatchSemaphore(value: 0)

    func set(_ value: Result<String, TransportError>) {
      result.withLock { $0 = value }
      isThere.signal()
    }

    func wait() -> Result<String, TransportError> {
      isThere.wait()
      return result.withLock { $0 } ?? .failure(TransportError(.closed, "the thread ended at once"))
    }
  }

  /// The thread's side: translates numbers and polls. Made and used on the thread alone.
  private final class Loop {
    private let transport: any Transport
    private let shared: Shared
    private let spinSeconds: Double
    private let napSeconds: Double
    private let clock = SystemClock()
    private var innerPeer: [PeerID: PeerID] = [:]
    private var outerPeer: [PeerID: PeerID] = [:]
    private var innerOperation: [OperationID: OperationID] = [:]
    private var outerOperation: [OperationID: OperationID] = [:]

    init(transport: any Transport, shared: Shared, spinSeconds: Double, napSeconds: Double) {
      self.transport = transport
      self.shared = shared
      self.spinSeconds = spinSeconds
      self.napSeconds = napSeconds
    }

    func run() {
      var lastNews = clock.now()
      while true {
        let commands = shared.boxes.withLock { boxes in
          defer { boxes.commands.removeAll(keepingCapacity: true) }
          return boxes.commands
        }
        for command in commands {
          if case .close = command {
            transport.close()
            shared.ended.signal()
            return
          }
          perform(command)
        }
        let events = transport.poll()
        if !events.isEmpty { publish(events.map { translated($0) }) }
        if !events.isEmpty || !commands.isEmpty { lastNews = clock.now() }
        if clock.now().seconds(since: lastNews) > spinSeconds {
          shared.nap { transport.wait(seconds: napSeconds, orReadable: shared.doorbell.descriptor) }
        }
      }
    }

    private func publish(_ events: [TransportEvent]) {
      shared.boxes.withLock { $0.events += events }
      shared.newEvents.signal()
      shared.onNews()
    }

    private func perform(_ command: Command) {
      switch command {
      case .connect(let peer, let address, let deadline):
        do throws(TransportError) {
          let inner = try transport.connect(to: address, deadline: deadline)
          innerPeer[peer] = inner
          outerPeer[inner] = peer
        } catch {
          publish([.lost(peer, error)])
        }
      case .move(let operation, var call):
        attempt(operation) { () throws(TransportError) in
          call.peer = try known(call.peer)
          return try transport.post(call)
        }
      case .send(let operation, let message, let peer, let deadline):
        attempt(operation) { () throws(TransportError) in
          try transport.send(message, to: try known(peer), deadline: deadline)
        }
      case .cancel(let operation): if let inner = innerOperation[operation] { transport.cancel(inner) }
      case .disconnect(let peer): if let inner = innerPeer[peer] { transport.disconnect(inner) }
      case .close: break
      }
    }

    private func attempt(_ operation: OperationID, _ post: () throws(TransportError) -> OperationID) {
      do throws(TransportError) {
        let inner = try post()
        innerOperation[operation] = inner
        outerOperation[inner] = operation
      } catch {
        publish([.failed(operation, error)])
      }
    }

    private func known(_ peer: PeerID) throws(TransportError) -> PeerID {
      guard let inner = innerPeer[peer] else {
        throw TransportError(.unknownPeer, "there is no connection \(peer.rawValue)")
      }
      return inner
    }

    private func translated(_ event: TransportEvent) -> TransportEvent {
      switch event {
      case .connected(let inner, let introduction): return .connected(outer(inner), introduction: introduction)
      case .completed(let inner, let report): return .completed(ended(inner), report)
      case .failed(let inner, let error): return .failed(ended(inner), error)
      case .message(let inner, let bytes): return .message(outer(inner), bytes)
      case .lost(let inner, let error):
        let peer = outer(inner)
        innerPeer[peer] = nil
        outerPeer[inner] = nil
        return .lost(peer, error)
      }
    }

    private func outer(_ inner: PeerID) -> PeerID {
      if let known = outerPeer[inner] { return known }
      let peer = shared.boxes.withLock { boxes in
        defer { boxes.nextPeer += 1 }
        return PeerID(rawValue: boxes.nextPeer)
      }
      outerPeer[inner] = peer
      innerPeer[peer] = inner
      return peer
    }

    private func ended(_ inner: OperationID) -> OperationID {
      guard let operation = outerOperation.removeValue(forKey: inner) else { return inner }
      innerOperation[operation] = nil
      return operation
    }
  }
}
