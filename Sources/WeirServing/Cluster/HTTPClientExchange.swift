// The HTTP client that a registry in etcd speaks through.

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Synchronization
public import WeirBasics
public import WeirCluster

/// Posts JSON to one of several equal servers, over HTTP/1 or HTTPS. After a failure the next call goes to the next
/// server; a call is never repeated by itself, because its sender may have been heard.
///
/// The owner ends it with ``shutdown()``.
public final class HTTPClientExchange: HTTPExchange {
  /// Longest answer that is collected, in bytes.
  static let answerLimitBytes = 64 << 20
  /// A watch that is silent for longer is ended: the link may be dead. Load reports come several times a second.
  static let silenceSeconds: Int64 = 60

  public let server: String
  private let servers: [String]
  private let current = Mutex(0)
  private let client: HTTPClient

  /// - Parameters:
  ///   - servers: one or more `http://host:port` or `https://host:port`, separated by commas.
  ///   - trustRootsPath: a PEM file with the certificates that `https://` servers are known by; nil: the system's.
  /// - Throws: ``EtcdAddressError`` that names the wrong address.
  public init(servers text: String, trustRootsPath: String? = nil) throws(EtcdAddressError) {
    var servers: [String] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      var address = part.drop { $0 == " " }
      while let last = address.last, last == " " || last == "/" { address.removeLast() }
      guard let scheme = ["http://", "https://"].first(where: { address.hasPrefix($0) }),
        !address.dropFirst(scheme.count).isEmpty, !address.dropFirst(scheme.count).contains("/"),
        !address.contains("@"), !address.contains(" ")
      else { throw EtcdAddressError(address: String(part)) }
      servers.append(String(address))
    }
    self.servers = servers
    server = servers.joined(separator: ",")
    var configuration = HTTPClient.Configuration()
    configuration.tlsConfiguration = TrustRoots.configuration(trustRootsPath)
    configuration.timeout.connect = .seconds(2)
    configuration.timeout.read = .seconds(Self.silenceSeconds)
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
    configuration.redirectConfiguration = .disallow
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// Closes all connections; no call may follow.
  public func shutdown() async { try? await client.shutdown() }

  private func request(_ path: String, _ body: [UInt8]) -> (HTTPClientRequest, server: Int) {
    let index = current.withLock { $0 }
    var request = HTTPClientRequest(url: servers[index] + path)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.body = .bytes(body)
    return (request, index)
  }

  /// The next call goes elsewhere, unless another call has found that out already.
  private func turnAway(from index: Int) {
    current.withLock { if $0 == index { $0 = (index + 1) % servers.count } }
  }

  public func post(
    path: String, body: [UInt8], timeoutSeconds: Double
  ) async throws(HTTPExchangeError) -> HTTPAnswer {
    let (request, index) = request(path, body)
    do {
      let response = try await client.execute(request, timeout: .milliseconds(Int64(timeoutSeconds * 1000)))
      let bytes = try await response.body.collect(upTo: Self.answerLimitBytes)
      return HTTPAnswer(status: Int(response.status.code), body: Array(bytes.readableBytesView))
    } catch {
      turnAway(from: index)
      throw HTTPExchangeError("\(servers[index]): \(error)")
    }
  }

  public func lines(path: String, body: [UInt8], lineLimitBytes: Int) -> AsyncStream<HTTPLine> {
    let (request, index) = request(path, body)
    let (stream, continuation) = AsyncStream.makeStream(of: HTTPLine.self)
    let task = Task {
      do {
        let response = try await client.execute(request, deadline: .distantFuture)
        var splitter = LineSplitter(limitBytes: lineLimitBytes)
        for try await part in response.body {
          for line in try splitter.add(part.readableBytesView) { continuation.yield(.line(line)) }
        }
        continuation.yield(.ended(nil))
      } catch {
        turnAway(from: index)
        continuation.yield(.ended(HTTPExchangeError("\(servers[index]): \(error)")))
      }
      continuation.finish()
    }
    continuation.onTermination = { _ in task.cancel() }
    return stream
  }
}

/// Cuts a stream of bytes into lines.
struct LineSplitter {
  let limitBytes: Int
  private var rest: [UInt8] = []

  init(limitBytes: Int) { self.limitBytes = limitBytes }

  /// The lines that `bytes` complete.
  mutating func add(_ bytes: some Collection<UInt8>) throws(HTTPExchangeError) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    for byte in bytes {
      if byte == 0x0A {
        lines.append(rest)
        rest.removeAll(keepingCapacity: true)
        continue
      }
      guard rest.count < limitBytes else { throw HTTPExchangeError("a line is longer than \(limitBytes) bytes") }
      rest.append(byte)
    }
    return lines
  }
}

/// An address of etcd that cannot be one.
public struct EtcdAddressError: WeirError, Equatable {
  public let address: String
  public var code: String { "invalid_etcd_address" }
  public var message: String {
    "\"\(address)\" is no address of etcd; give http://host:port or https://host:port, several separated by commas"
  }
}
