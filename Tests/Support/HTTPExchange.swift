// One HTTP/1.1 request and its response over a RawSocket.

public import WeirBasics

/// A response as it came over the wire.
public struct RawResponse: Sendable {
  public var status: Int
  /// Names in lower case.
  public var headers: [String: String]
  public var body: [UInt8]

  public var text: String { String(decoding: body, as: UTF8.self) }
  /// The body as JSON, null if it is none.
  public var json: JSONValue { (try? JSONValue.parse(utf8: body)) ?? .null }

  /// Server-sent events in order: name (or nil) and data; comments are left out.
  public var events: [(name: String?, data: String)] {
    text.components(separatedBy: "\n\n").compactMap { frame in
      var name: String?
      var data: String?
      for line in frame.split(separator: "\n") {
        if line.hasPrefix("event: ") { name = String(line.dropFirst(7)) }
        if line.hasPrefix("data: ") { data = String(line.dropFirst(6)) }
      }
      return data.map { (name, $0) }
    }
  }

  /// The events' JSON, without `[DONE]`.
  public var chunks: [JSONValue] {
    events.filter { $0.data != "[DONE]" }.map { (try? JSONValue.parse($0.data)) ?? .null }
  }
}

extension String {
  fileprivate func components(separatedBy mark: String) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: mark) {
      parts.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    parts.append(String(rest))
    return parts
  }
}

extension RawSocket {
  /// The bytes of a request.
  public static func request(
    _ method: String, _ path: String, headers: [String: String] = [:], body: String? = nil
  ) -> String {
    var text = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for (name, value) in headers.sorted(by: { $0.key < $1.key }) { text += "\(name): \(value)\r\n" }
    if let body {
      text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    } else {
      text += "\r\n"
    }
    return text
  }

  /// Reads status line and headers.
  public func readHead() throws -> RawResponse {
    let lines = try read(through: "\r\n\r\n").split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, let status = Int(words[1]) else {
      throw Failure(description: "not a status line: \(lines.first ?? "")")
    }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
    }
    return RawResponse(status: status, headers: headers, body: [])
  }

  /// Reads one chunk of a chunked body; nil at its end.
  public func readChunk() throws -> [UInt8]? {
    let line = try read(through: "\r\n")
    guard let size = Int(line.dropLast(1), radix: 16) ?? Int(line.prefix { $0.isHexDigit }, radix: 16) else {
      throw Failure(description: "not a chunk size: \(line)")
    }
    let bytes = try read(count: size)
    _ = try read(count: 2)
    return size == 0 ? nil : bytes
  }

  /// Reads a whole response.
  public func readResponse(hasBody: Bool = true) throws -> RawResponse {
    var response = try readHead()
    guard hasBody, response.status != 204, response.status != 304 else { return response }
    if let length = response.headers["content-length"].flatMap({ Int($0) }) {
      response.body = try read(count: length)
    } else if response.headers["transfer-encoding"]?.lowercased() == "chunked" {
      while let chunk = try readChunk() { response.body += chunk }
    } else {
      response.body = Array(try readToEnd().utf8)
    }
    return response
  }

  /// One request on a connection of its own.
  public static func exchange(
    port: Int, _ method: String, _ path: String, headers: [String: String] = [:], body: String? = nil
  ) throws -> RawResponse {
    let socket = try RawSocket(port: port)
    defer { socket.close() }
    try socket.send(request(method, path, headers: headers, body: body))
    return try socket.readResponse(hasBody: method != "HEAD")
  }
}
