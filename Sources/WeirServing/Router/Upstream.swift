// The router's client to its nodes.

import AsyncHTTPClient
import HTTPTypes
import NIOCore
import NIOHTTP1
import WeirBasics

/// A node did not answer, or broke off.
struct UpstreamError: WeirError, Equatable {
  let message: String
  var code: String { "node_unreachable" }
}

/// An answer whose body has not been read.
struct UpstreamAnswer: Sendable {
  let status: Int
  let type: String
  let retryAfter: String?
  let body: HTTPClientResponse.Body
}

/// One pool of connections to all nodes. The owner ends it with `shutdown`.
struct Upstream: Sendable {
  /// Longest answer that is collected, in bytes.
  static let answerLimitBytes = 256 << 20
  private let client: HTTPClient

  /// - Parameters:
  ///   - silenceSeconds: longest silence of a node in the middle of an answer.
  ///   - trustRootsPath: certificates, beside which none is trusted; nil: those of the system.
  init(silenceSeconds: Double, trustRootsPath: String?) {
    var configuration = HTTPClient.Configuration()
    configuration.tlsConfiguration = TrustRoots.configuration(trustRootsPath)
    configuration.timeout.connect = .seconds(2)
    configuration.timeout.read = .milliseconds(Int64(silenceSeconds * 1000))
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 4096
    configuration.redirectConfiguration = .disallow
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  func shutdown() async { try? await client.shutdown() }

  /// Sends a request; returns when the head of the answer is there.
  func send(
    _ method: String, _ url: String, headers: [(String, String)] = [], body: [UInt8]? = nil, timeoutSeconds: Double
  ) async throws(UpstreamError) -> UpstreamAnswer {
    var request = HTTPClientRequest(url: url)
    request.method = HTTPMethod(rawValue: method)
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    if let body { request.body = .bytes(body) }
    do {
      let response = try await client.execute(request, timeout: .milliseconds(Int64(timeoutSeconds * 1000)))
      return UpstreamAnswer(
        status: Int(response.status.code),
        type: response.headers.first(name: "content-type") ?? "application/json",
        retryAfter: response.headers.first(name: "retry-after"), body: response.body)
    } catch {
      throw UpstreamError(message: "\(url): \(error)")
    }
  }

  /// Sends a request and reads the whole answer.
  func exchange(
    _ method: String, _ url: String, headers: [(String, String)] = [], body: [UInt8]? = nil, timeoutSeconds: Double
  ) async throws(UpstreamError) -> (answer: UpstreamAnswer, bytes: [UInt8]) {
    let answer = try await send(method, url, headers: headers, body: body, timeoutSeconds: timeoutSeconds)
    do {
      let bytes = try await answer.body.collect(upTo: Self.answerLimitBytes)
      return (answer, Array(bytes.readableBytesView))
    } catch {
      throw UpstreamError(message: "\(url): \(error)")
    }
  }
}
