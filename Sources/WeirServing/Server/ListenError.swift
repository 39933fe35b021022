// Why the server cannot listen: the address, what is wrong with it and what to do, instead of a system call's name.

import NIOCore
public import WeirBasics

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The address the server was told to listen on cannot be had.
public struct ListenError: WeirError, Equatable {
  /// The kinds of failure; the raw value is the machine-readable code.
  public enum Kind: String, Sendable {
    case addressInUse = "address_in_use"
    case notPermitted = "address_not_permitted"
    case notHere = "address_not_available"
    case failed = "cannot_listen"
  }

  public var kind: Kind
  public var host: String
  public var port: Int
  /// The system's own words, for kinds that have no better ones.
  public var detail: String

  public init(_ kind: Kind, host: String, port: Int, detail: String = "") {
    self.kind = kind
    self.host = host
    self.port = port
    self.detail = detail
  }

  public var code: String { kind.rawValue }

  public var message: String {
    let address = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    return switch kind {
    case .addressInUse:
      "another program listens on \(address) already; stop it, or choose another port with --port (0 takes a free one)"
    case .notPermitted:
      "this user may not listen on \(address); choose a port from 1024 on with --port"
    case .notHere:
      "this machine has no address \(host); give one of its own with --host (127.0.0.1: only this machine, "
        + "0.0.0.0: every interface)"
    case .failed: "listening on \(address) failed: \(detail)"
    }
  }

  /// A `ListenError` for what binding `host` and `port` threw; nil for errors of another kind.
  init?(_ error: any Error, host: String, port: Int) {
    switch error {
    case let error as IOError:
      let kinds: [CInt: Kind] = [EADDRINUSE: .addressInUse, EACCES: .notPermitted, EADDRNOTAVAIL: .notHere]
      self.init(kinds[error.errnoCode] ?? .failed, host: host, port: port, detail: "\(error)")
    case is SocketAddressError, is SocketAddressError.UnknownHost:
      self.init(.notHere, host: host, port: port, detail: "\(error)")
    default: return nil
    }
  }
}
