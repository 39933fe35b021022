// The kinds of clients in the storm: each opens one connection, misbehaves in its own way and goes.

import WeirBasics
import WeirTestSupport

enum Gust: String, CaseIterable {
  case ordinary, streamed, completion, messages, sharedPrefix, manyChoices
  case brokenHTTP, brokenJSON, wrongTypes, oversized, oversizedChunked, slowBody, unknownRoute, hugeCount
  case invalidUnicode, deepJSON, longPrompt, halfClosed, droppedAtOnce, droppedInPrefill, droppedInStream
  case droppedInBody, pipelined, severalPipelinedThenGone

  static let chat = "/v1/chat/completions"

  static func ordinaryBody(tokens: Int, stream: Bool, prompt: String = "Hi", choices: Int = 1) -> String {
    JSONValue.object([
      "messages": [["role": "user", "content": .string(prompt)]], "stream": .bool(stream),
      "max_tokens": .number(Double(tokens)), "n": .number(Double(choices)), "ignore_eos": true,
    ]).serialized()
  }

  /// One connection from its opening to its end; what was wrong about the answer, nil if nothing.
  func blow(port: Int, _ generator: inout SeededGenerator) throws -> String? {
    let socket = try RawSocket(port: port, timeoutSeconds: 60)
    defer { socket.close() }
    let dice = Int(generator.next() % 1000)
    switch self {
    case .ordinary, .streamed, .completion, .messages, .sharedPrefix, .manyChoices, .halfClosed, .pipelined:
      return try behave(socket, dice)
    case .droppedAtOnce, .droppedInPrefill, .droppedInStream, .droppedInBody, .severalPipelinedThenGone:
      try vanish(socket, dice)
      return nil
    default: return try offend(socket, dice)
    }
  }

  /// Clients that do nothing wrong; they may meet a full queue.
  private func behave(_ socket: RawSocket, _ dice: Int) throws -> String? {
    var path = Gust.chat
    var text = Gust.ordinaryBody(tokens: 1 + dice % 24, stream: self == .streamed, prompt: "Say \(dice)")
    switch self {
    case .completion:
      path = "/v1/completions"
      text = "{\"prompt\": [\"a\", \"b \(dice)\"], \"max_tokens\": 8}"
    case .messages:
      path = "/v1/messages"
      text = "{\"model\": \"tiny\", \"max_tokens\": 6, \"messages\": [{\"role\": \"user\", \"content\": \"\(dice)\"}]}"
    case .sharedPrefix:
      text = Gust.ordinaryBody(tokens: 4, stream: true, prompt: String(repeating: "river ", count: 40) + "\(dice % 5)")
    case .manyChoices: text = Gust.ordinaryBody(tokens: 6, stream: dice % 2 == 0, choices: 2 + dice % 5)
    default: break
    }
    try socket.send(RawSocket.request("POST", path, body: text))
    if self == .halfClosed { socket.halfClose() }
    if self == .pipelined { try socket.send(RawSocket.request("POST", path, body: text)) }
    for _ in 0..<(self == .pipelined ? 2 : 1) {
      let answer = try socket.readResponse()
      // A half-closed client counts as gone: its generation may be cancelled (499).
      let allowed = self == .halfClosed ? [200, 429, 499, 503] : [200, 429, 503]
      if !allowed.contains(answer.status) { return "\(self): \(answer.status) \(answer.text.prefix(200))" }
    }
    return nil
  }

  /// Clients that leave without a word.
  private func vanish(_ socket: RawSocket, _ dice: Int) throws {
    let long = String(repeating: "weir \(dice) ", count: 30)
    switch self {
    case .droppedAtOnce:
      try socket.send(RawSocket.request("POST", Gust.chat, body: Gust.ordinaryBody(tokens: 200, stream: dice % 2 == 0)))
    case .droppedInPrefill:
      try socket.send(
        RawSocket.request("POST", Gust.chat, body: Gust.ordinaryBody(tokens: 200, stream: true, prompt: long)))
      _ = try socket.readHead()
    case .droppedInStream:
      try socket.send(
        RawSocket.request(
          "POST", Gust.chat, body: Gust.ordinaryBody(tokens: 300, stream: true, choices: 1 + dice % 3)))
      for _ in 0..<(1 + dice % 6) { _ = try socket.read(through: "data: ") }
    case .droppedInBody:
      try socket.send("POST \(Gust.chat) HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"messages\": [")
    default:
      for _ in 0..<4 {
        try socket.send(RawSocket.request("POST", Gust.chat, body: Gust.ordinaryBody(tokens: 100, stream: true)))
      }
      _ = try socket.read(through: "data: ")
    }
  }

  /// Clients whose request is wrong: the answer is a 4xx, or the connection ends.
  private func offend(_ socket: RawSocket, _ dice: Int) throws -> String? {
    switch self {
    case .slowBody:
      try socket.send("POST \(Gust.chat) HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    case .oversized:
      try socket.send("POST \(Gust.chat) HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{")
    case .oversizedChunked:
      try socket.send("POST \(Gust.chat) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
      for _ in 0..<10 { try socket.send("4000\r\n" + String(repeating: " ", count: 0x4000) + "\r\n") }
    case .brokenHTTP:
      try socket.send(Gust.garbage[dice % Gust.garbage.count])
      socket.halfClose()
      let answer = try socket.readToEnd()
      return answer.isEmpty || answer.hasPrefix("HTTP/1.1 4") ? nil : "\(self) \(dice): \(answer.prefix(200))"
    case .invalidUnicode:
      let text: [UInt8] =
        Array("{\"messages\": [{\"role\": \"user\", \"content\": \"".utf8) + [0xC3, 0x28, 0xFF, 0xED, 0xA0]
      let head = "POST \(Gust.chat) HTTP/1.1\r\nHost: x\r\nContent-Length: \(text.count + 4)\r\n\r\n"
      try socket.send(Array(head.utf8) + text + Array("\"}]}".utf8))
    case .unknownRoute:
      try socket.send(RawSocket.request(dice % 2 == 0 ? "POST" : "DELETE", "/v1/nothing/\(dice)", body: "{}"))
    default:
      try socket.send(RawSocket.request("POST", Gust.chat, body: wrongBody(dice)))
    }
    let answer = try socket.readResponse()
    let isRefused = (400..<500).contains(answer.status) && answer.json["error"]?["message"]?.string?.isEmpty == false
    return isRefused ? nil : "\(self) \(dice): \(answer.status) \(answer.text.prefix(200))"
  }

  private func wrongBody(_ dice: Int) -> String {
    let good = Gust.ordinaryBody(tokens: 8, stream: true)
    return switch self {
    case .brokenJSON: String(good.dropLast(1 + dice % (good.count - 1)))
    case .wrongTypes: Gust.wrongFields[dice % Gust.wrongFields.count]
    case .hugeCount: Gust.ordinaryBody(tokens: 8, stream: dice % 2 == 0, choices: 1_000_000)
    case .deepJSON: String(repeating: "[", count: 20_000) + String(repeating: "]", count: 20_000)
    default: Gust.ordinaryBody(tokens: 8, stream: true, prompt: String(repeating: "too long ", count: 4000))
    }
  }

  static let garbage = [
    "\u{1}\u{2}\u{3}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9 x\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n",
    "POST \(chat) HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
  ]

  static let wrongFields = [
    "{\"messages\": 1}", "{\"messages\": []}", "[]", "null", "\"text\"", "{}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"max_tokens\": \"many\"}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"temperature\": [1]}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"max_tokens\": -5}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"n\": 1e300}",
    "{\"messages\": [{\"role\": \"nobody\", \"content\": \"a\"}]}", "{\"messages\": [{\"role\": 7}]}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"stop\": {\"a\": 1}}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"logit_bias\": {\"x\": 1}}",
  ]
}
