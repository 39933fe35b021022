// One TCP connection of the control plane: frames out of bytes.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A frame is a 32-bit little-endian length, a kind, and as many bytes; after the handshake these end with a `FrameSeal`.
enum ControlFrameKind: UInt8 {
  case handshake = 1
  case details = 2
  case message = 3
  /// This side's endpoint is connected.
  case reached = 4
}

/// A non-blocking socket with what was not read or written yet. Owned by a `ControlPlane`.
final class ControlStream {
  let descriptor: Int32
  let isInitiator: Bool
  var handshake: HandshakeMachine
  /// Both are there once the peer has shown that it knows the secret.
  private var seals: (sent: FrameSeal, received: FrameSeal)?
  /// A connection that is not there yet.
  var isConnecting: Bool
  private(set) var failure: TransportError?
  private var incoming: [UInt8] = []
  private var consumed = 0
  private var outgoing: [UInt8] = []
  private var written = 0

  /// Longest frame before the peer is known: an introduction with its proof.
  private static let strangerFrameLimit = 1 << 17
  /// Bytes that may wait for a slow peer.
  private static let outgoingLimit = 64 << 20

  init(descriptor: Int32, isInitiator: Bool, isConnecting: Bool, handshake: HandshakeMachine) {
    self.descriptor = descriptor
    self.isInitiator = isInitiator
    self.isConnecting = isConnecting
    self.handshake = handshake
    configure()
  }

  deinit { Glibc.close(descriptor) }

  /// The peer has shown that it knows the secret.
  var isAuthenticated: Bool { seals != nil }

  /// The handshake is over: every frame from here on is sealed, and must be.
  func authenticate() { seals = handshake.seals }

  var wantsToWrite: Bool { isConnecting || written < outgoing.count }

  /// Queues a frame and writes what the socket takes.
  func send(_ kind: ControlFrameKind, _ payload: [UInt8]) {
    guard outgoing.count - written + payload.count < Self.outgoingLimit else {
      return fail(TransportError(.peerLost, "the peer reads too slowly"))
    }
    let seal = kind == .handshake ? [] : seals?.sent.next(kind.rawValue, payload) ?? []
    var writer = ByteWriter()
    writer.put(count: payload.count + seal.count)
    writer.put(kind.rawValue)
    outgoing += writer.bytes
    outgoing += payload
    outgoing += seal
    flush()
  }

  /// Writes what the socket takes.
  func flush() {
    guard failure == nil, finishConnecting() else { return }
    while written < outgoing.count {
      let count = outgoing.withUnsafeBytes { bytes in
        Glibc.send(
          descriptor, bytes.baseAddress.map { $0 + written }, bytes.count - written,
          Int32(truncatingIfNeeded: MSG_NOSIGNAL))
      }
      guard count > 0 else {
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        return fail(TransportError(.peerLost, "the control connection broke: \(systemReason())"))
      }
      written += count
    }
    outgoing.removeAll(keepingCapacity: true)
    written = 0
  }

  /// Reads what is there and returns the whole frames.
  func receive() -> [(ControlFrameKind, [UInt8])] {
    guard failure == nil, finishConnecting() else { return [] }
    var frames: [(ControlFrameKind, [UInt8])] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while failure == nil {
      let count = buffer.withUnsafeMutableBytes { Glibc.recv(descriptor, $0.baseAddress, $0.count, 0) }
      if count > 0 {
        incoming += buffer[0..<count]
        frames += cutFrames()
        if count < buffer.count { break }
      } else if count == 0 {
        fail(TransportError(.peerLost, "the peer closed the control connection"))
      } else if errno == EAGAIN || errno == EINTR {
        break
      } else {
        fail(TransportError(.peerLost, "the control connection broke: \(systemReason())"))
      }
    }
    return frames
  }

  /// Takes the seal off a frame; nil, and the connection has failed, if it is not what the peer sent next.
  func open(_ kind: ControlFrameKind, _ sealed: [UInt8]) -> [UInt8]? {
    guard let payload = seals?.received.opened(kind.rawValue, sealed) else {
      fail(TransportError(.protocolFault, "a frame was changed, repeated or left out on its way"))
      return nil
    }
    return payload
  }

  func fail(_ error: TransportError) {
    if failure == nil { failure = error }
  }

  private func cutFrames() -> [(ControlFrameKind, [UInt8])] {
    var frames: [(ControlFrameKind, [UInt8])] = []
    let limit = seals.map { messageBytesLimit + $0.received.byteCount } ?? Self.strangerFrameLimit
    while incoming.count - consumed >= 5 {
      let length = (0..<4).reduce(0) { $0 | Int(incoming[consumed + $1]) << (8 * $1) }
      guard length <= limit, let kind = ControlFrameKind(rawValue: incoming[consumed + 4]) else {
        fail(TransportError(.protocolFault, "the peer sent a frame that no node sends"))
        break
      }
      guard incoming.count - consumed >= 5 + length else { break }
      frames.append((kind, Array(incoming[(consumed + 5)..<(consumed + 5 + length)])))
      consumed += 5 + length
    }
    if consumed > 0 {
      incoming.removeFirst(consumed)
      consumed = 0
    }
    return frames
  }

  /// Whether the connection stands; a refused one fails here.
  private func finishConnecting() -> Bool {
    guard isConnecting else { return true }
    var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard Glibc.poll(&state, 1, 0) > 0 else { return false }
    var error: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
    guard error == 0 else {
      fail(TransportError(.unreachable, "no connection: \(String(cString: strerror(error)))"))
      return false
    }
    isConnecting = false
    return true
  }

  /// A dead machine is noticed in seconds by the kernel, however busy this process is; a dead process at once.
  private func configure() {
    setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
    let tcp = Int32(IPPROTO_TCP)
    setOption(tcp, TCP_NODELAY, 1)
    setOption(tcp, TCP_KEEPIDLE, 2)
    setOption(tcp, TCP_KEEPINTVL, 1)
    setOption(tcp, TCP_KEEPCNT, 5)
    setOption(tcp, TCP_USER_TIMEOUT, 7000)
  }

  private func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
  }
}

/// What the system says of the last failed call.
func systemReason() -> String { String(cString: strerror(errno)) }
