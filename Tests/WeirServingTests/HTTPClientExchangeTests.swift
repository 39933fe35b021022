// The HTTP client of the registry, against Debian's etcd.

import Testing
import WeirBasics
import WeirCluster
import WeirTestSupport

@testable import WeirServing

@Suite struct HTTPClientExchangeTests {
  /// Shuts the exchange down whatever happens: its client must not be let go open.
  private func exchanging(
    _ servers: String, _ body: (HTTPClientExchange) async throws -> Void
  ) async throws {
    let exchange = try HTTPClientExchange(servers: servers)
    do { try await body(exchange) } catch {
      await exchange.shutdown()
      throw error
    }
    await exchange.shutdown()
  }

  @Test func addressesAreChecked() async throws {
    let exchange = try HTTPClientExchange(servers: "http://a:2379/, https://b:2379")
    #expect(exchange.server == "http://a:2379,https://b:2379")
    await exchange.shutdown()
    for wrong in ["", "a:2379", "ftp://a", "http://", "http://a/x", "http://u:p@a", "http://a,", "http://a b"] {
      #expect(throws: EtcdAddressError.self) { _ = try HTTPClientExchange(servers: wrong) }
    }
  }

  @Test func linesAreCutWhereverTheBytesComeApart() throws {
    var splitter = LineSplitter(limitBytes: 5)
    #expect(try splitter.add(Array("ab".utf8)).isEmpty)
    let lines = try splitter.add(Array("c\n\nde\nf".utf8))
    #expect(lines.map { String(decoding: $0, as: UTF8.self) } == ["abc", "", "de"])
    #expect(throws: HTTPExchangeError.self) { try splitter.add(Array("ghijk".utf8)) }
  }

  @Test func anAbsentServerIsAnErrorAndTheNextOneIsAsked() async throws {
    // Port 1 is nobody's.
    try await exchanging("http://127.0.0.1:1,http://127.0.0.1:2") { exchange in
      for port in [1, 2, 1] {
        do throws(HTTPExchangeError) {
          _ = try await exchange.post(path: "/", body: [], timeoutSeconds: 2)
          Issue.record("nobody listens there")
        } catch {
          #expect(error.description.hasPrefix("http://127.0.0.1:\(port)"), "\(error)")
        }
      }
      var steps: [HTTPLine] = []
      for await step in exchange.lines(path: "/", body: [], lineLimitBytes: 10) { steps.append(step) }
      guard case .ended(.some) = try #require(steps.first), steps.count == 1 else {
        Issue.record("\(steps)")
        return
      }
    }
  }

  @Test(
    .timeLimit(.minutes(10)),
    .enabled(if: EtcdProcess.path != nil, "etcd is not installed; scripts/setup.sh installs Debian's etcd-server"))
  func aNodesWholeLifeIsSeenOverRealHTTP() async throws {
    let etcd = try EtcdProcess()
    try await exchanging("http://127.0.0.1:\(etcd.port)") { try await liveAWholeLife(through: $0, etcd) }
  }

  private func liveAWholeLife(through exchange: HTTPClientExchange, _ etcd: EtcdProcess) async throws {
    // All suites share two cores: an answer may be read long after it came.
    let registry = try EtcdRegistry(exchange: exchange, cluster: "http", timeoutSeconds: 60)
    let node = NodeDescription(
      id: NodeID("a"), incarnation: 1, addresses: NodeAddresses(http: "127.0.0.1:1"), modelName: "m",
      model: ModelFingerprint("m"),
      kv: KVShape(layers: 1, kvHeads: 1, headDim: 32, blockSlots: 16, keyType: .f16, valueType: .f16),
      capacity: NodeCapacity(
        totalBlocks: 1, runningLimit: 1, stepTokens: 1, mixedPrefillTokens: 1, contextLength: 16),
      homeRole: .mixed)
    var events = await registry.watch().makeAsyncIterator()
    #expect(await events.next() == .snapshot([]))
    let lease = try await registry.register(node, leaseSeconds: 600)
    #expect(await events.next() == .joined(node))
    var report = LoadReport(node: node.id, incarnation: 1, sequence: 0, role: .mixed)
    for sequence in 0..<200 {
      report.sequence = sequence
      try await registry.report(report, lease: lease)
      #expect(await events.next() == .reported(report))
    }
    etcd.stop()
    guard case .interrupted = await events.next() else {
      Issue.record("an etcd that is gone interrupts the watch")
      return
    }
    await #expect(throws: RegistryError.self) { try await registry.keepAlive(lease) }
    try etcd.start()
    while let event = await events.next() {
      if case .snapshot(let members) = event {
        #expect(members == [Member(description: node, report: report)])
        break
      }
    }
    try await registry.keepAlive(lease)
    try await registry.withdraw(lease)
    #expect(await events.next() == .left(node.id, .deleted))
    // Several watches at once do not starve the questions.
    var watches: [AsyncStream<MembershipEvent>] = []
    for _ in 0..<20 { watches.append(await registry.watch()) }
    for watch in watches { for await event in watch { if event == .snapshot([]) { break } } }
    #expect(try await registry.members().isEmpty)
  }
}
