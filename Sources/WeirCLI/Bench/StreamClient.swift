// A blocking HTTP client for load tests: one request, its server-sent events with the time each one arrived.

import Foundation
import Glibc
import WeirBasics

/// Talks to one `http://host:port`. One instance per request and thread.
struct StreamClient {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// One `data:` line.
  struct Event {
    let at: Instant
    let data: String
  }

  let host: String
  let port: UInt16
  private let clock = SystemClock()

  /// - Throws: `Failure` if `url` is not `http://host[:port]`.
  init(url: String) throws {
    guard let parts = URLComponents(string: url), parts.scheme == "http", let host = parts.host else {
      throw Failure(description: "\(url) is not of the form http://host:port")
    }
    self.host = host
    port = UInt16(clamping: parts.port ?? 80)
  }

  /// Posts `body` and reads the whole event stream.
  ///
  /// - Throws: `Failure` with the server's answer if its status is not 200.
  func events(path: String, body: String, key: String?) throws -> [Event] {
    let socket = try connected()
    defer { close(socket) }
    var head = "POST \(path) HTTP/1.1\r\nHost: \(host):\(port)\r\nContent-Type: application/json\r\n"
    head += "Accept: text/event-stream\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n"
    if let key { head += "Authorization: Bearer \(key)\r\n" }
    try send(Array((head + "\r\n" + body).utf8), to: socket)
    return try readEvents(socket)
  }

  private func connected() throws -> Int32 {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &list) == 0, let address = list else {
      throw Failure(description: "\(host) has no address")
    }
    defer { freeaddrinfo(list) }
    let descriptor = socket(address.pointee.ai_family, address.pointee.ai_socktype, address.pointee.ai_protocol)
    guard descriptor >= 0, connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 else {
      if descriptor >= 0 { close(descriptor) }
      throw Failure(description: "no server answers at \(host):\(port)")
    }
    return descriptor
  }

  private func send(_ bytes: [UInt8], to socket: Int32) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        write(socket, buffer.baseAddress?.advanced(by: sent), bytes.count - sent)
      }
      guard count > 0 else { throw Failure(description: "the server closed the connection while we were sending") }
      sent += count
    }
  }

  /// Lines are split over the whole answer: chunk-size lines of HTTP's chunked coding never start with `data:`.
  private func readEvents(_ socket: Int32) throws -> [Event] {
    var events: [Event] = []
    var pending: [UInt8] = []
    var status: String?
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(socket, &buffer, buffer.count)
      if count <= 0 { break }
      let now = clock.now()
      pending.append(contentsOf: buffer[..<count])
      var start = 0
      while let newline = pending[start...].firstIndex(of: 10) {
        let line = String(decoding: pending[start..<newline], as: UTF8.self).trimmingCharacters(in: .whitespaces)
        start = newline + 1
        if status == nil { status = line }
        if line.hasPrefix("data:") {
          events.append(Event(at: now, data: line.dropFirst(5).trimmingCharacters(in: .whitespaces)))
        }
      }
      pending.removeFirst(start)
    }
    guard let status, status.contains(" 200") else {
      throw Failure(
        description:
          "the server answered \(status ?? "nothing"): \(String(decoding: pending.prefix(500), as: UTF8.self))")
    }
    return events
  }
}
