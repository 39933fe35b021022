// Publishes KV events over ZeroMQ, in vLLM's format, from a thread of its own.

import Dispatch
import Foundation
import Synchronization
public import WeirBasics

/// Takes changes of the prefix tree from the step loop and gives them to subscribers. The step loop never waits for it.
///
/// Every message has three frames: topic, number (8 bytes, big-endian, from 0), and a batch. Who missed some asks the
/// replay socket: an empty frame and the first wanted number; it is answered with (empty, topic, number, batch) each,
/// and the number -1 at the end.
public final class EventPublisher: Sendable {
  private struct Queue {
    var events: [KVEvent] = []
    /// Calls of `take` that wait.
    var steps = 0
    var isClosed = false
    var isDone = false
  }

  public let configuration: EventsConfiguration
  /// As bound, with the ports that the system chose.
  public let endpoint: String
  public let replayEndpoint: String?
  private let queue = Mutex(Queue())
  private let wake: @Sendable () -> Void
  private let published = Atomic<UInt64>(0)
  private let overflows = Atomic<UInt64>(0)

  /// Binds the sockets and starts the thread.
  ///
  /// - Parameters:
  ///   - configuration: addresses and limits.
  ///   - blockSlots: tokens of a block, as the engine's pool has them.
  ///   - environment: tells the time.
  /// - Throws: ``EventSocketError`` if ZeroMQ is not installed or an address cannot be bound.
  public init(
    configuration: EventsConfiguration, blockSlots: Int, environment: ServingEnvironment = ServingEnvironment()
  ) throws(EventSocketError) {
    self.configuration = configuration
    let started = Started()
    let (unixSeconds, link) = (environment.unixSeconds, WeakPublisher())
    let thread = Thread {
      do throws(EventSocketError) {
        let socket = try EventSocket(
          endpoint: configuration.endpoint, replayEndpoint: configuration.replayEndpoint,
          highWater: configuration.highWater, replayHighWater: 2 * (configuration.bufferSteps + 1))
        started.set(.success((socket.endpoint, socket.replayEndpoint, socket.wake)))
        var loop = Loop(
          socket: socket, topic: Array(configuration.topic.utf8), writer: EventWriter(blockSlots: blockSlots),
          bufferSteps: configuration.bufferSteps, unixSeconds: unixSeconds)
        while link.turn(&loop) {}
        link.finished()
        socket.close()
      } catch {
        started.set(.failure(error))
      }
    }
    thread.name = "weir-kv-events"
    thread.start()
    let (endpoint, replay, wake) = try started.wait().get()
    self.endpoint = endpoint
    replayEndpoint = replay.isEmpty ? nil : replay
    self.wake = wake
    link.set(self)
  }

  /// Batches that were published.
  public var batches: UInt64 { published.load(ordering: .relaxed) }
  /// Times that the thread fell behind and declared everything cleared.
  public var clearedBehind: UInt64 { overflows.load(ordering: .relaxed) }

  /// Takes the changes of one step. Never waits.
  public func take(_ events: [KVEvent]) {
    let isLate = queue.withLock { queue in
      guard !queue.isClosed else { return false }
      queue.steps += 1
      guard queue.steps <= configuration.maxQueueSize else {
        // Consumers that hear of nothing believe in too little, never in blocks that are gone.
        queue.events = [.allBlocksCleared]
        queue.steps = 1
        return true
      }
      queue.events += events
      return false
    }
    if isLate { overflows.add(1, ordering: .relaxed) }
    wakeThread()
  }

  /// Publishes what waits and ends the thread; waits until it has published, at most two seconds.
  public func close() async {
    let wasClosed = queue.withLock { queue in
      defer { queue.isClosed = true }
      return queue.isClosed
    }
    if wasClosed { return }
    wakeThread()
    for _ in 0..<200 {
      if queue.withLock({ $0.isDone }) { return }
      try? await Task.sleep(nanoseconds: 10_000_000)
    }
  }

  /// The sockets are closed after `isDone` is set, so nobody wakes a socket that has gone.
  private func wakeThread() { queue.withLock { if !$0.isDone { wake() } } }
}

extension EventPublisher {
  /// What the thread owns.
  fileprivate struct Loop {
    let socket: EventSocket
    let topic: [UInt8]
    var writer: EventWriter
    let bufferSteps: Int
    let unixSeconds: @Sendable () -> Int
    fileprivate var buffer: [(number: Int64, payload: [UInt8])] = []
    /// Number of the next batch. Once full, `buffer` is a ring: batch n lies at n % bufferSteps.
    fileprivate var next: Int64 = 0

    /// Publishes; returns the number of batches.
    mutating func publish(_ events: [KVEvent]) -> Int {
      let payloads = writer.payloads(events, unixSeconds: Double(unixSeconds()))
      for payload in payloads {
        _ = socket.publish(topic: topic, number: next, payload: payload)
        let entry = (next, payload)
        if buffer.count < bufferSteps {
          buffer.append(entry)
        } else {
          buffer[Int(next % Int64(bufferSteps))] = entry
        }
        next += 1
      }
      return payloads.count
    }

    /// Answers whoever asks for repetition.
    func repeatToWhoAsks() {
      while let request = socket.request() {
        let first = max(request.firstNumber, next - Int64(buffer.count))
        var number = max(0, first)
        while number < next {
          let entry = buffer[Int(number % Int64(bufferSteps))]
          guard socket.reply(to: request, topic: topic, number: entry.number, payload: entry.payload) else { break }
          number += 1
        }
        _ = socket.reply(to: request, topic: topic, number: -1, payload: [])
      }
    }
  }

  /// One turn of the thread; false: it is over.
  fileprivate func turn(_ loop: inout Loop) -> Bool {
    let (events, isClosed) = queue.withLock { queue in
      defer {
        queue.events = []
        queue.steps = 0
      }
      return (queue.events, queue.isClosed)
    }
    if !events.isEmpty { published.add(UInt64(loop.publish(events)), ordering: .relaxed) }
    loop.repeatToWhoAsks()
    return !isClosed
  }

  fileprivate func noteDone() { queue.withLock { $0.isDone = true } }
}

/// The thread must not keep its publisher: it ends with it.
private final class WeakPublisher: Sendable {
  private struct State {
    weak var publisher: EventPublisher?
    var isSet = false
  }
  private let state = Mutex(State())

  func set(_ publisher: EventPublisher) { state.withLock { $0 = State(publisher: publisher, isSet: true) } }

  /// One turn, then a wait; false when the publisher has closed or gone.
  func turn(_ loop: inout EventPublisher.Loop) -> Bool {
    let (publisher, isSet) = state.withLock { ($0.publisher, $0.isSet) }
    if let publisher {
      guard publisher.turn(&loop) else { return false }
    } else if isSet {
      return false
    }
    loop.socket.wait(milliseconds: isSet ? 1000 : 1)
    return true
  }

  func finished() { state.withLock { $0.publisher }?.noteDone() }
}

/// Tells the maker of a thread how its start went.
private final class Started: Sendable {
  typealias Outcome = Result<(endpoint: String, replay: String, wake: @Sendable () -> Void), EventSocketError>
  private let outcome = Mutex<Outcome?>(nil)
  private let signal = DispatchSemaphore(value: 0)

  func set(_ value: Outcome) {
    outcome.withLock { $0 = value }
    signal.signal()
  }

  func wait() -> Outcome {
    signal.wait()
    return outcome.withLock { $0 } ?? .failure(EventSocketError(message: "the publisher's thread did not start"))
  }
}
