// The transport between the nodes of a cluster: UCX on a thread of its own, authenticated.

public import WeirBasics
public import WeirEngine
import WeirKVCache
public import WeirKVTransfer

/// Where and how a node takes part in handoffs.
public struct NodeTransport: Sendable {
  public var secret: ClusterSecret
  /// The address that other nodes reach this one's transfer plane at.
  public var host = "127.0.0.1"
  /// 0: any free port.
  public var port: UInt16 = 0
  public var path = UCXConfiguration.Path.tcp
  /// The node's name, told to its peers: links are reported under it. Nil: no name is told.
  public var node: NodeID?
  public var holdSeconds = 30.0
  public var arrivalSeconds = 10.0

  public init(secret: ClusterSecret) { self.secret = secret }

  /// For the engine's configuration.
  ///
  /// - Parameter environment: gives the incarnation and the nonces.
  public func handoffOptions(environment: ServingEnvironment = ServingEnvironment()) -> HandoffOptions {
    let randomBits = environment.randomBits
    let nonce: @Sendable () -> [UInt8] = {
      (0..<(HandshakeMessage.nonceBytes / 8)).flatMap { _ in
        let bits = randomBits()
        return (0..<8).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
      }
    }
    var control = ControlConfiguration(host: host, port: port, authenticator: secret.authenticator, nonce: nonce)
    control.introduction = Array((node?.rawValue ?? "").utf8)
    let configuration = UCXConfiguration(path: path, control: control)
    let clock = environment.clock
    var options = HandoffOptions(incarnation: randomBits(), authenticator: secret.authenticator) {
      memory, onNews throws(TransportError) in
      try TransportThread(memory: memory, onNews: onNews) { () throws(TransportError) in
        try UCXTransport(configuration: configuration, clock: clock)
      }
    }
    if path == .tcp { options.costPriors = .stream }
    options.holdSeconds = holdSeconds
    options.arrivalSeconds = arrivalSeconds
    return options
  }
}
