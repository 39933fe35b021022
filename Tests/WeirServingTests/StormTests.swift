// Hostile and ordinary clients at once over a real socket and the real engine: afterwards nothing may be left behind.

import Foundation
import Testing
import Weir
import WeirBasics
import WeirEngine
import WeirModelFiles
import WeirServing
import WeirTestSupport

@Suite struct StormTests {
  static let requests = 320
  static let clients = 16

  /// Runs the storm of each seed, then looks for anything that was not given back.
  @Test(.timeLimit(.minutes(2)), arguments: [UInt64(1), 2])
  func `after a storm of broken clients every block is free and the server answers`(seed: UInt64) async throws {
    let engine = try Self.engine(seed: seed)
    try await TestServer.listening(Self.configuration(), engine: engine) { port, _ in
      let (tally, complaints) = try await Self.storm(port: port, seed: seed)
      #expect(complaints.isEmpty, "seed \(seed): \(complaints)")
      // Every kind of client must have come, or the storm showed nothing.
      #expect(Set(tally.keys) == Set(Gust.allCases), "seed \(seed): \(tally)")
      let isOver = await eventually { await Self.isIdle(engine) }
      let load = await engine.status().load
      #expect(isOver, "seed \(seed): \(load)")
      #expect(load.freeBlocks + load.cachedBlocks == load.totalBlocks, "seed \(seed): \(load)")
      let answer = try await blocking {
        try RawSocket.exchange(port: port, "POST", Gust.chat, body: Gust.ordinaryBody(tokens: 4, stream: false))
      }
      #expect(answer.status == 200, "seed \(seed): \(answer.text)")
      #expect(await eventually { await Self.isIdle(engine) })
      await engine.clearPrefixCache()
      let empty = await engine.status().load
      #expect(empty.freeBlocks == empty.totalBlocks, "seed \(seed): \(empty)")
    }
  }

  private static func isIdle(_ engine: Engine) async -> Bool {
    let load = await engine.status().load
    return load.runningSequences == 0 && load.waitingRequests == 0
  }

  private static func engine(seed: UInt64) throws -> Engine {
    let path = NSTemporaryDirectory() + "weir-storm-\(getpid())-\(seed).gguf"
    defer { unlink(path) }
    try RandomModel.write(geometry: .tiny, type: .f32, seed: 5, to: path, progress: nil)
    var configuration = EngineConfiguration(modelName: "tiny")
    // Small on purpose: the storm has to evict, wait and preempt.
    configuration.kvBytes = 2 << 20
    configuration.contextLength = 512
    configuration.runningLimit = 8
    configuration.queueLimit = 24
    return try Engine.load(path: path, options: LoadOptions(threads: 2, configuration: configuration))
  }

  private static func configuration() -> ServingConfiguration {
    var configuration = ServingConfiguration()
    configuration.port = 0
    configuration.accessLog = false
    configuration.drainTimeoutSeconds = 5
    configuration.maxBodyBytes = 64 << 10
    configuration.bodyTimeoutSeconds = 0.2
    configuration.idleTimeoutSeconds = 2
    configuration.keepAliveSeconds = 0.05
    return configuration
  }

  /// Requests by kind, and answers that should not have come. Clients are threads of their own; each takes the next request of the seed's list.
  private static func storm(port: Int, seed: UInt64) async throws -> ([Gust: Int], [String]) {
    try await withThrowingTaskGroup(of: ([Gust: Int], [String]).self) { group in
      for client in 0..<clients {
        group.addTask {
          try await blocking {
            var generator = SeededGenerator(seed: seed &* 1000 &+ UInt64(client))
            var tally: [Gust: Int] = [:]
            var complaints: [String] = []
            for round in 0..<(requests / clients) {
              // The first rounds together are every kind; chance follows.
              let all = Gust.allCases
              let place = client + round * clients
              let gust = place < all.count ? all[place] : all[Int(generator.next() % UInt64(all.count))]
              tally[gust, default: 0] += 1
              // A refused or cut connection is what many of these ask for; what counts is the state afterwards.
              do {
                if let complaint = try gust.blow(port: port, &generator) { complaints.append(complaint) }
              } catch is RawSocket.Failure {}
            }
            return (tally, complaints)
          }
        }
      }
      return try await group.reduce(into: ([:], [])) { all, one in
        all.0.merge(one.0, uniquingKeysWith: +)
        all.1 += one.1
      }
    }
  }
}
