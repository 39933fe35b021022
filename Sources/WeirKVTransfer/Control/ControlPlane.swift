// TCP connections between nodes: who is there, who may be there, and what they say.

import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// How a node shows itself to others.
public struct ControlConfiguration: Sendable {
  /// Address to listen on and to be reached at.
  public var host: String
  /// 0: any free port.
  public var port: UInt16
  /// What peers are told of this node before they are trusted with more.
  public var introduction: [UInt8]
  public var authenticator: PeerAuthenticator
  /// Fresh random bytes for each handshake, `HandshakeMessage.nonceBytes` of them.
  public var nonce: @Sendable () -> [UInt8]
  /// Longest handshake in seconds.
  public var handshakeSeconds = 5.0
  /// Most connections at once; more are closed.
  public var connectionLimit = 256

  public init(
    host: String = "127.0.0.1", port: UInt16 = 0, introduction: [UInt8] = [], authenticator: PeerAuthenticator,
    nonce: @escaping @Sendable () -> [UInt8]
  ) {
    self.host = host
    self.port = port
    self.introduction = introduction
    self.authenticator = authenticator
    self.nonce = nonce
  }
}

/// The connections of one node. Used by the thread that owns the transport.
final class ControlPlane {
  enum Event {
    /// The peer knows the secret.
    case ready(Int, introduction: [UInt8])
    case frame(Int, ControlFrameKind, [UInt8])
    case lost(Int, TransportError)
  }

  private let configuration: ControlConfiguration
  private let clock: any WeirClock
  private let listener: Int32
  let port: UInt16
  private var streams: [Int: ControlStream] = [:]
  private var deadlines: [Int: Instant] = [:]
  private var nextStream = 0

  init(configuration: ControlConfiguration, clock: any WeirClock) throws(TransportError) {
    self.configuration = configuration
    self.clock = clock
    let (descriptor, port) = try Self.listen(host: configuration.host, port: configuration.port)
    listener = descriptor
    self.port = port
  }

  deinit { Glibc.close(listener) }

  /// Starts a connection to `host:port`.
  func connect(to address: String, deadline: Instant) throws(TransportError) -> Int {
    guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]) else {
      throw TransportError(.unreachable, "\(address) is not host:port")
    }
    var place = try Self.resolve(host: String(address[..<colon]), port: port)
    let descriptor = socket(
      AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw TransportError(.unavailable, "no socket: \(systemReason())") }
    let result = withUnsafePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 || errno == EINPROGRESS else {
      let reason = systemReason()
      Glibc.close(descriptor)
      throw TransportError(.unreachable, "\(address): \(reason)")
    }
    let (id, stream) = add(descriptor, isInitiator: true, isConnecting: result != 0)
    deadlines[id] = min(deadline, clock.now().advanced(bySeconds: configuration.handshakeSeconds))
    stream.send(.handshake, stream.handshake.start().bytes)
    return id
  }

  func send(_ kind: ControlFrameKind, _ payload: [UInt8], to id: Int) { streams[id]?.send(kind, payload) }

  func close(_ id: Int) {
    streams[id]?.fail(TransportError(.peerLost, "this node closed the connection"))
  }

  func isThere(_ id: Int) -> Bool { streams[id].map { $0.failure == nil } ?? false }

  /// Reads, writes, accepts; never waits.
  func poll() -> [Event] {
    accept()
    var events: [Event] = []
    let now = clock.now()
    for id in streams.keys.sorted() {
      guard let stream = streams[id] else { continue }
      stream.flush()
      for (kind, payload) in stream.receive() where stream.failure == nil {
        if kind == .handshake, !stream.isAuthenticated {
          advance(id, stream, payload, &events)
        } else if stream.isAuthenticated {
          if let opened = stream.open(kind, payload) { events.append(.frame(id, kind, opened)) }
        } else {
          stream.fail(TransportError(.protocolFault, "the peer did not wait for the end of the handshake"))
        }
      }
      if let deadline = deadlines[id], deadline <= now {
        stream.fail(TransportError(.deadlinePassed, "the handshake was not done by its deadline"))
      }
      if let failure = stream.failure {
        streams[id] = nil
        deadlines[id] = nil
        events.append(.lost(id, failure))
      }
    }
    return events
  }

  /// What to wait on.
  func descriptors() -> [pollfd] {
    [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
      + streams.values.map {
        pollfd(fd: $0.descriptor, events: Int16(POLLIN | ($0.wantsToWrite ? POLLOUT : 0)), revents: 0)
      }
  }

  func closeAll() { streams.removeAll() }

  private func advance(_ id: Int, _ stream: ControlStream, _ payload: [UInt8], _ events: inout [Event]) {
    do {
      switch try stream.handshake.receive(HandshakeMessage(bytes: payload)) {
      case .send(let answer): stream.send(.handshake, answer.bytes)
      case .finished(let answer, let introduction):
        if let answer { stream.send(.handshake, answer.bytes) }
        stream.authenticate()
        deadlines[id] = nil
        events.append(.ready(id, introduction: introduction))
      }
    } catch let error as TransportError {
      stream.fail(error)
    } catch {
      stream.fail(TransportError(.protocolFault, "\(error)"))
    }
  }

  private func accept() {
    while true {
      let descriptor = Glibc.accept(listener, nil, nil)
      guard descriptor >= 0 else { return }
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
      guard streams.count < configuration.connectionLimit else {
        Glibc.close(descriptor)
        continue
      }
      let (id, _) = add(descriptor, isInitiator: false, isConnecting: false)
      deadlines[id] = clock.now().advanced(bySeconds: configuration.handshakeSeconds)
    }
  }

  private func add(_ descriptor: Int32, isInitiator: Bool, isConnecting: Bool) -> (Int, ControlStream) {
    let handshake = HandshakeMachine(
      isInitiator: isInitiator, nonce: configuration.nonce(), introduction: configuration.introduction,
      authenticator: configuration.authenticator)
    let stream = ControlStream(
      descriptor: descriptor, isInitiator: isInitiator, isConnecting: isConnecting, handshake: handshake)
    nextStream += 1
    streams[nextStream] = stream
    return (nextStream, stream)
  }

  private static func resolve(host: String, port: UInt16) throws(TransportError) -> sockaddr_in {
    var hints = addrinfo()
    hints.ai_family = AF_INET
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, String(port), &hints, &found)
    defer { if let found { freeaddrinfo(found) } }
    guard status == 0, let address = found?.pointee.ai_addr else {
      throw TransportError(.unreachable, "\(host): \(String(cString: gai_strerror(status)))")
    }
    return UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self)
  }

  private static func listen(host: String, port: UInt16) throws(TransportError) -> (Int32, UInt16) {
    var place = try resolve(host: host, port: port)
    let descriptor = socket(
      AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw TransportError(.unavailable, "no socket: \(systemReason())") }
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && Glibc.listen(descriptor, 64) == 0 && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard isListening else {
      let reason = systemReason()
      Glibc.close(descriptor)
      throw TransportError(.unavailable, "cannot listen on \(host):\(port): \(reason)")
    }
    return (descriptor, UInt16(bigEndian: place.sin_port))
  }
}
