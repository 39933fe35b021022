// KV events: names, batches, what is left out, and the settings. Subscribers over real sockets are in Tests/Clients.

import Testing
import WeirBasics
import WeirCluster
import WeirTestSupport

@testable import WeirServing

@Suite struct EventWriterTests {
  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  private static func stored(
    _ hash: UInt64, after parent: UInt64?, _ tokens: [TokenID], salt: String = ""
  ) -> KVEvent {
    .blockStored(hash: hash, parent: parent, tokens: tokens, blockSlots: 4, salt: salt)
  }

  /// Golden values: hashlib and cbor2 in Python, sha256(cbor2.dumps("0", canonical=True)), then
  /// sha256(cbor2.dumps((parent, tuple(tokens), None), canonical=True)).
  @Test func namesAreThoseOfVLLM() {
    #expect(
      Self.hex(EventWriter.root) == "4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e")
    let first = EventWriter.name(after: EventWriter.root, tokens: (0..<128).map { TokenID($0) })
    #expect(Self.hex(first) == "41b04e727e2efe6a5e35a707a47e3e11872b3215e1056d068d9bde11d7e22ce7")
    let second = EventWriter.name(after: first, tokens: (128..<256).map { TokenID($0) })
    #expect(Self.hex(second) == "ad8f0385e9091ed10027f18191a8d1e7935ed4a2bf1768f047380def604d3987")
  }

  @Test func aChainIsOneEventAndABatchHasTheFormOfMessagePack() throws {
    var writer = EventWriter(blockSlots: 4)
    let payloads = writer.payloads(
      [
        Self.stored(1, after: nil, [1, 2, 300, 70_000]), Self.stored(2, after: 1, [5, 6, 7, 8]),
        .blockRemoved(hash: 2),
      ], unixSeconds: 1.5)
    let payload = try #require(payloads.first)
    #expect(payloads.count == 1 && writer.publishedBlocks == 1)
    let first = EventWriter.name(after: EventWriter.root, tokens: [1, 2, 300, 70_000])
    let second = EventWriter.name(after: first, tokens: [5, 6, 7, 8])
    func text(_ word: String) -> [UInt8] { [0xA0 | UInt8(word.utf8.count)] + Array(word.utf8) }
    func name(_ bytes: [UInt8]) -> [UInt8] { [0xC4, 32] + bytes }
    var expected: [UInt8] = [0x93, 0xCB, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0, 0x92, 0x88]
    expected += text("type") + text("BlockStored") + text("block_hashes") + [0x92] + name(first) + name(second)
    expected += text("parent_block_hash") + [0xC0] + text("token_ids")
    expected += [0x98, 1, 2, 0xCD, 1, 44, 0xCE, 0, 1, 0x11, 0x70, 5, 6, 7, 8]
    expected += text("block_size") + [4] + text("lora_id") + [0xC0] + text("medium") + text("GPU")
    expected += text("lora_name") + [0xC0, 0x83] + text("type") + text("BlockRemoved")
    expected += text("block_hashes") + [0x91] + name(second) + text("medium") + text("GPU") + [0]
    #expect(payload == expected)
  }

  @Test func tailsAndOtherTenantsAreLeftOut() {
    var writer = EventWriter(blockSlots: 4)
    let nothing = writer.payloads(
      [
        Self.stored(1, after: nil, [1, 2, 3]), Self.stored(2, after: nil, [1, 2, 3, 4], salt: "tenant"),
        // What follows a block that was left out cannot be named either.
        Self.stored(3, after: 2, [5, 6, 7, 8]), .blockRemoved(hash: 1), .blockRemoved(hash: 2),
      ], unixSeconds: 0)
    #expect(nothing.isEmpty && writer.publishedBlocks == 0)
    #expect(writer.payloads([.allBlocksCleared], unixSeconds: 0).count == 1)
  }

  @Test func aBatchIsNeverLongerThanConsumersTake() {
    var writer = EventWriter(blockSlots: 1)
    let events = (0..<3000).map {
      KVEvent.blockStored(hash: $0, parent: nil, tokens: [TokenID(Int($0))], blockSlots: 1, salt: "")
    }
    #expect(writer.payloads(events, unixSeconds: 0).count == 3)
    #expect(writer.publishedBlocks == 3000)
  }

  @Test func settingsAreThoseOfVLLM() throws {
    let text =
      #"{"enable_kv_cache_events": true, "publisher": "zmq", "endpoint": "tcp://*:0", "topic": "kv", "hwm": 7}"#
    let settings = try #require(try EventsConfiguration(json: text))
    #expect(settings.endpoint == "tcp://*:0" && settings.topic == "kv" && settings.highWater == 7)
    #expect(try EventsConfiguration(json: #"{"enable_kv_cache_events": false}"#) == nil)
    #expect(try EventsConfiguration(json: #"{"enable_kv_cache_events": true, "publisher": "null"}"#) == nil)
    for wrong in [
      "7", "{", #"{"enable_kv_cache_events": 1}"#, #"{"endpoints": "tcp://*:1"}"#, #"{"publisher": "kafka"}"#,
      #"{"endpoint": "udp://x"}"#, #"{"buffer_steps": 0}"#, #"{"hwm": -1}"#,
    ] {
      #expect(throws: ConfigurationError.self, "\(wrong)") { try EventsConfiguration(json: wrong) }
    }
  }
}

@Suite struct EventRouteTests {
  /// What vllm-router asks before it places by cached KV.
  @Test func promptsAreRenderedAsGenerationSeesThem() async throws {
    try await TestServer.with { server in
      let messages: JSONValue = [["role": "user", "content": "hello"]]
      let rendered = try await server.post("/v1/chat/completions/render", ["messages": messages])
      let tokenized = try await server.post("/tokenize", ["messages": messages])
      #expect(rendered.status == 200 && rendered.json["token_ids"] == tokenized.json["tokens"], "\(rendered.text)")
      let prompts = try await server.post("/v1/completions/render", ["prompt": ["ab", "c"]])
      #expect(prompts.json[0]?["token_ids"]?.array?.count ?? 0 >= 2 && prompts.json.array?.count == 2)
      #expect(try await server.post("/v1/completions/render", ["prompt": "a", "model": "other"]).status == 404)
      let information = try await server.get("/get_server_info").json
      #expect(information["model_id"]?.string == "test-model" && information["kv_block_size"]?.int ?? 0 > 0)
      #expect(information["instance_id"]?.string?.isEmpty == false)
      #expect(try await server.get("/kv_event_sources").status == 404)
    }
  }
}

@Suite struct PrefixGuessTests {
  private func chain(_ text: String, seed: String = "") -> PrefixChain {
    PrefixChain(Array(text.utf8), seed: Array(seed.utf8))
  }

  @Test func prefixesAreRememberedPerNodeAndStart() {
    let (a, b) = (NodeID("a"), NodeID("b"))
    let first = String(repeating: "x", count: 600)
    var placed = PlacedPrefixes()
    placed.note(chain(first), on: a, incarnation: 1)
    let longer = chain(first + String(repeating: "y", count: 600))
    #expect(placed.bytes(of: longer, on: a, incarnation: 1) == 512)
    #expect(placed.bytes(of: longer, on: b, incarnation: 1) == 0)
    #expect(placed.bytes(of: longer, on: a, incarnation: 2) == 0)
    #expect(placed.bytes(of: chain(first, seed: "other tenant"), on: a, incarnation: 1) == 0)
    placed.forget(a)
    #expect(placed.bytes(of: longer, on: a, incarnation: 1) == 0)
  }

  @Test func theOldestAreForgottenFirst() {
    var placed = PlacedPrefixes(limit: 8)
    let texts = (0..<12).map { chain(String(repeating: "\($0) ", count: 200)) }
    for text in texts { placed.note(text, on: NodeID("a"), incarnation: 1) }
    #expect(placed.bytes(of: texts[11], on: NodeID("a"), incarnation: 1) > 0)
    #expect(placed.bytes(of: texts[0], on: NodeID("a"), incarnation: 1) == 0)
  }

  @Test func aConversationKeepsItsPrefixAndTenantsDoNotShareIt() {
    func request(_ messages: [String], key: String) -> RoutedRequest {
      let items: [JSONValue] = messages.map { ["role": "user", "content": .string($0)] }
      return RoutedRequest(
        path: "/v1/chat/completions", id: "r", body: ["messages": .array(items)],
        headers: [("authorization", "Bearer \(key)")])
    }
    let long = String(repeating: "once upon a time ", count: 64)
    let (one, two) = (request([long], key: "k").prefix, request([long, "and then?"], key: "k").prefix)
    let common = zip(one.hashes, two.hashes).prefix { $0 == $1 }.count
    #expect(common >= one.hashes.count - 1 && common >= 3)
    #expect(request([long], key: "l").prefix.hashes.first != one.hashes.first)
  }
}
