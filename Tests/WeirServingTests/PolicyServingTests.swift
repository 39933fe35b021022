// Sixteen clients under different KV policies at once, over a real socket and the real engine.

import Foundation
import Testing
import Weir
import WeirBasics
import WeirEngine
import WeirModelFiles
import WeirPolicies
import WeirServing
import WeirTestSupport

@Suite struct PolicyServingTests {
  private static let policies: [JSONValue] = [
    .null, ["name": "full"], ["name": "sink-recent", "budget": 64], ["name": "tova", "budget": 64],
    ["name": "snapkv", "ratio": 0.25], ["name": "keydiff", "budget": 80], ["name": "h2o", "budget": 64],
    ["name": "h2o", "budget": 48, "decay": 0.9, "chunk": 32], ["name": "random", "ratio": 0.5],
    ["name": "oracle", "budget": 64, "spans": "0-10+100-120"], ["name": "sentencekv", "budget": 48, "sentence": 12],
  ]

  private static func engine(_ limits: KVPolicyLimits = KVPolicyLimits()) throws -> Engine {
    let path = NSTemporaryDirectory() + "weir-policies-\(getpid())-\(limits.slotsMax ?? 0).gguf"
    defer { unlink(path) }
    try RandomModel.write(geometry: .tiny, type: .f32, seed: 5, to: path, progress: nil)
    var configuration = EngineConfiguration(modelName: "tiny")
    configuration.kvBytes = 16 << 20
    configuration.contextLength = 512
    configuration.policies = KVPolicyCatalogue(limits: limits)
    return try Engine.load(path: path, options: LoadOptions(threads: 2, configuration: configuration))
  }

  /// What client `index` asks for.
  private static func body(_ index: Int) -> JSONValue {
    var generator = SeededGenerator(seed: UInt64(index))
    let prompt = (0..<(150 + 7 * index)).map { _ in JSONValue(Int(generator.next() % 200) + 260) }
    return [
      "prompt": .array(prompt), "max_tokens": 24, "temperature": 0, "ignore_eos": true,
      "kv_policy": policies[index % policies.count], "weir": ["explain": true],
    ]
  }

  private static func ask(_ index: Int, port: Int) async throws -> RawResponse {
    try await blocking {
      try RawSocket.exchange(port: port, "POST", "/v1/completions", body: body(index).serialized())
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `sixteen clients under different policies get what each gets alone`() async throws {
    let engine = try Self.engine()
    var configuration = ServingConfiguration()
    configuration.port = 0
    configuration.accessLog = false
    try await TestServer.listening(configuration, engine: engine) { port, _ in
      var alone: [RawResponse] = []
      for index in 0..<16 { alone.append(try await Self.ask(index, port: port)) }
      let together = try await withThrowingTaskGroup(of: (Int, RawResponse).self) { group in
        for index in 0..<16 { group.addTask { (index, try await Self.ask(index, port: port)) } }
        return try await group.reduce(into: [Int: RawResponse]()) { $0[$1.0] = $1.1 }
      }
      for index in 0..<16 {
        let (one, other) = (alone[index], try #require(together[index]))
        #expect(one.status == 200 && other.status == 200, "\(index): \(one.text)")
        #expect(one.json["choices"]?[0]?["text"]?.string == other.json["choices"]?[0]?["text"]?.string, "\(index)")
        let kv = try #require(other.json["weir"]?["kv"]?[0], "\(index)")
        let tokens = 150 + 7 * index + 23
        let isSelecting = index % Self.policies.count == 10
        let isEvicting = index % Self.policies.count > 1 && !isSelecting
        #expect((kv["reading"]?["mean_slots"]?.double == 48) == isSelecting, "\(index): \(kv.serialized())")
        #expect((kv["max_slots"]?.int ?? 0 < tokens) == isEvicting, "\(index): \(kv.serialized())")
        #expect(kv["peak_bytes"]?.int ?? 0 > 0)
      }
      let unknown = try await blocking {
        try RawSocket.exchange(
          port: port, "POST", "/v1/completions",
          body: #"{"prompt": "x", "kv_policy": {"name": "h3o", "budget": 64}}"#)
      }
      #expect(unknown.status == 400 && unknown.json["error"]?["param"]?.string == "kv_policy", "\(unknown.text)")
      await engine.clearPrefixCache()
      let load = await engine.status().load
      #expect(load.freeBlocks == load.totalBlocks, "\(load)")
      let metrics = try await blocking { try RawSocket.exchange(port: port, "GET", "/metrics") }
      #expect(metrics.text.contains("weir_kv_policy_questions_total"))
    }
  }

  @Test(.timeLimit(.minutes(2)))
  func `what the operator does not allow is refused before anything is held`() async throws {
    let engine = try Self.engine(KVPolicyLimits(allowed: [.full, .h2o], slotsMax: 64))
    var configuration = ServingConfiguration()
    configuration.port = 0
    configuration.accessLog = false
    try await TestServer.listening(configuration, engine: engine) { port, _ in
      func ask(_ policy: JSONValue) async throws -> RawResponse {
        let body: JSONValue = ["prompt": "a b c", "max_tokens": 2, "kv_policy": policy]
        return try await blocking {
          try RawSocket.exchange(port: port, "POST", "/v1/completions", body: body.serialized())
        }
      }
      #expect(try await ask(["name": "h2o", "budget": 64]).status == 200)
      #expect(try await ask(.null).status == 200)
      let other = try await ask(["name": "tova", "budget": 64])
      #expect(other.status == 400 && other.json["error"]?["param"]?.string == "kv_policy", "\(other.text)")
      #expect(other.text.contains("requests may name full, h2o"))
      let large = try await ask(["name": "h2o", "budget": 65])
      #expect(large.status == 400 && large.text.contains("allows at most 64"), "\(large.text)")
      await engine.clearPrefixCache()
      let load = await engine.status().load
      #expect(load.freeBlocks == load.totalBlocks, "\(load)")
    }
  }
}
