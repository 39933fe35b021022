// What is said to etcd and how answers are read, without an etcd.

import Synchronization
import Testing
import WeirBasics

@testable import WeirCluster

/// Answers by path, in order; remembers what was asked.
final class ScriptedExchange: HTTPExchange {
  struct Script: Sendable {
    var answers: [String: [HTTPAnswer?]] = [:]
    var watches: [[HTTPLine]] = []
    var asked: [(path: String, body: String)] = []
  }

  let server = "script"
  private let script: Mutex<Script>

  init(_ answers: [String: [HTTPAnswer?]], watches: [[HTTPLine]] = []) {
    script = Mutex(Script(answers: answers, watches: watches))
  }

  var asked: [(path: String, body: String)] { script.withLock { $0.asked } }

  func post(
    path: String, body: [UInt8], timeoutSeconds: Double
  ) async throws(HTTPExchangeError) -> HTTPAnswer {
    let answer = script.withLock { script -> HTTPAnswer? in
      script.asked.append((path, String(decoding: body, as: UTF8.self)))
      guard script.answers[path]?.isEmpty == false else { return nil }
      return script.answers[path]?.removeFirst() ?? nil
    }
    guard let answer else { throw HTTPExchangeError("connection refused") }
    return answer
  }

  func lines(path: String, body: [UInt8], lineLimitBytes: Int) -> AsyncStream<HTTPLine> {
    let steps = script.withLock { script in
      script.asked.append((path, String(decoding: body, as: UTF8.self)))
      return script.watches.isEmpty ? [.ended(HTTPExchangeError("gone"))] : script.watches.removeFirst()
    }
    return AsyncStream { continuation in
      for step in steps { continuation.yield(step) }
      continuation.finish()
    }
  }
}

@Suite struct EtcdProtocolTests {
  private func ok(_ text: String) -> HTTPAnswer { HTTPAnswer(status: 200, body: Array(text.utf8)) }
  private func coded(_ text: String) -> String { Base64.encode(Array(text.utf8)) }

  private func pair(_ key: String, _ value: JSONValue, revision: Int = 3) -> String {
    #"{"key":"\#(coded(key))","value":"\#(Base64.encode(value.serializedBytes()))","mod_revision":"\#(revision)"}"#
  }

  @Test func registersUnderALeaseAndOnlyIfNobodyCameFirst() async throws {
    let exchange = ScriptedExchange([
      EtcdWire.rangePath: [ok(#"{"header":{"revision":"7"}}"#)],
      EtcdWire.grantPath: [ok(#"{"header":{},"ID":"7587871094561234567","TTL":"10"}"#)],
      EtcdWire.transactionPath: [ok(#"{"header":{"revision":"8"},"succeeded":true}"#)],
    ])
    let registry = try EtcdRegistry(exchange: exchange, cluster: "c1")
    let lease = try await registry.register(Samples.node("a"), leaseSeconds: 9.2)
    #expect(lease.id == 7_587_871_094_561_234_567)
    #expect(lease.leaseSeconds == 10)
    let asked = exchange.asked
    #expect(asked.map(\.path) == [EtcdWire.rangePath, EtcdWire.grantPath, EtcdWire.transactionPath])
    #expect(asked[1].body == #"{"TTL":"10"}"#)
    let transaction = try JSONValue.parse(asked[2].body)
    #expect(transaction["compare"]?[0]?["mod_revision"] == "0")
    let put = try #require(transaction["success"]?[0]?["request_put"])
    #expect(put["key"]?.string == coded("/weir/c1/nodes/a"))
    #expect(put["lease"] == "7587871094561234567")
    let value = try #require(put["value"]?.string.flatMap { Base64.decode($0) })
    #expect(try NodeDescription.parse(utf8: value) == Samples.node("a"))
    #expect(registry.place == "in etcd at script, cluster c1")
  }

  @Test func aLostRaceGivesTheLeaseBack() async throws {
    let exchange = ScriptedExchange([
      EtcdWire.rangePath: [ok("{}")], EtcdWire.grantPath: [ok(#"{"ID":"5","TTL":"10"}"#)],
      EtcdWire.transactionPath: [ok(#"{"succeeded":false}"#)], EtcdWire.revokePath: [ok("{}")],
    ])
    let registry = try EtcdRegistry(exchange: exchange)
    await #expect(throws: RegistryError.nodeTaken(NodeID("a"), incarnation: 1)) {
      _ = try await registry.register(Samples.node("a"), leaseSeconds: 10)
    }
    #expect(exchange.asked.last?.path == EtcdWire.revokePath)
  }

  @Test func aLostLeaseIsToldFromAnAbsentEtcd() async throws {
    let lease = RegistryLease(node: NodeID("a"), incarnation: 1, id: 5, leaseSeconds: 10)
    let exchange = ScriptedExchange([
      EtcdWire.keepAlivePath: [
        ok(#"{"result":{"header":{"revision":"4"},"ID":"5","TTL":"10"}}"#),
        ok(#"{"result":{"header":{"revision":"4"},"ID":"5"}}"#), nil,
      ],
      EtcdWire.putPath: [
        HTTPAnswer(
          status: 404,
          body: Array(
            #"{"error":"etcdserver: requested lease not found","code":5,"message":"etcdserver: requested lease not found"}"#
              .utf8)),
        HTTPAnswer(status: 503, body: Array("<html>".utf8)), ok("[]"),
      ],
    ])
    let registry = try EtcdRegistry(exchange: exchange)
    try await registry.keepAlive(lease)
    await #expect(throws: RegistryError.leaseLost(NodeID("a"))) { try await registry.keepAlive(lease) }
    await #expect(throws: RegistryError.unreachable("script: connection refused")) {
      try await registry.keepAlive(lease)
    }
    let report = Samples.report("a", sequence: 1)
    await #expect(throws: RegistryError.leaseLost(NodeID("a"))) { try await registry.report(report, lease: lease) }
    await #expect(throws: RegistryError.refused(status: 503, message: "<html>")) {
      try await registry.report(report, lease: lease)
    }
    await #expect(throws: RegistryError.malformed("it is no JSON object")) {
      try await registry.report(report, lease: lease)
    }
  }

  @Test func aWatchBeginsAgainFromASnapshotAfterEveryGap() async throws {
    let node = Samples.node("a")
    let list = ok(
      #"{"header":{"revision":"9"},"kvs":[\#(pair("/weir/default/load/a", Samples.report("a", sequence: 1).json)),"#
        + #"\#(pair("/weir/default/nodes/a", node.json)),\#(pair("/weir/default/nodes/b", ["version": 1])),"#
        + #"\#(pair("/weir/default/nodes/c", node.json)),\#(pair("/other", "x"))]}"#)
    let created = #"{"result":{"header":{"revision":"9"},"created":true}}"#
    let changes =
      #"{"result":{"header":{"revision":"10"},"events":[{"kv":\#(pair("/weir/default/load/a", Samples.report("a", sequence: 2).json))},"#
      + #"{"type":"DELETE","kv":{"key":"\#(coded("/weir/default/load/a"))"}},"#
      + #"{"type":"DELETE","kv":{"key":"\#(coded("/weir/default/nodes/a"))"}}]}}"#
    let compacted = #"{"result":{"header":{"revision":"99"},"canceled":true,"compact_revision":"50"}}"#
    let exchange = ScriptedExchange(
      [EtcdWire.rangePath: [nil, list, ok(#"{"header":{"revision":"99"}}"#)]],
      watches: [
        [.line(Array(created.utf8)), .line([]), .line(Array(changes.utf8)), .line(Array(compacted.utf8))],
        [.line(Array("nonsense".utf8))],
      ])
    let registry = try EtcdRegistry(exchange: exchange, pause: { _ in })
    var events: [MembershipEvent] = []
    for await event in await registry.watch() {
      events.append(event)
      if events.count == 10 { break }
    }
    #expect(events[0] == .interrupted(.unreachable("script: connection refused")))
    #expect(events[1] == .snapshot([Member(description: node, report: Samples.report("a", sequence: 1))]))
    guard case .refused("/weir/default/nodes/b", _) = events[2], case .refused("/weir/default/nodes/c", _) = events[3]
    else {
      Issue.record("entries that cannot be read are told: \(events[2...3])")
      return
    }
    #expect(events[4] == .reported(Samples.report("a", sequence: 2)))
    #expect(events[5] == .left(NodeID("a"), .deleted))
    #expect(
      events[6] == .interrupted(.refused(status: 200, message: "the watch was ended: compacted up to revision 50")))
    #expect(events[7] == .snapshot([]))
    #expect(events[8] == .interrupted(.malformed("a line of the watch is no JSON object")))
    let watch = try #require(exchange.asked.first { $0.path == EtcdWire.watchPath })
    #expect(try JSONValue.parse(watch.body)["create_request"]?["start_revision"] == "10")
  }

  @Test func aClusterNameMustFitAKey() {
    #expect(throws: RegistryError.invalidNodeID("a/b")) {
      _ = try EtcdRegistry(exchange: ScriptedExchange([:]), cluster: "a/b")
    }
  }
}
