// The registry against Debian's etcd.

import Testing
import WeirBasics
import WeirTestSupport

@testable import WeirCluster

@Suite(
  .serialized,
  .enabled(if: EtcdProcess.path != nil, "etcd is not installed; scripts/setup.sh installs Debian's etcd-server"))
struct EtcdServerTests {
  private func registry(_ etcd: EtcdProcess) throws -> EtcdRegistry {
    try EtcdRegistry(exchange: SocketExchange(port: etcd.port), cluster: "t", timeoutSeconds: 60)
  }

  @Test(.timeLimit(.minutes(10))) func aNodesWholeLifeIsSeenByAWatcher() async throws {
    let etcd = try EtcdProcess()
    let node = try registry(etcd)
    let router = try registry(etcd)
    var events = await router.watch().makeAsyncIterator()
    #expect(await events.next() == .snapshot([]))
    let lease = try await node.register(Samples.node("a", role: .decode), leaseSeconds: 600)
    #expect(await events.next() == .joined(Samples.node("a", role: .decode)))
    try await node.report(Samples.report("a", sequence: 1), lease: lease)
    #expect(await events.next() == .reported(Samples.report("a", sequence: 1)))
    try await router.direct(Samples.directive)
    #expect(await events.next() == .directed(Samples.directive))
    // An older directive changes nothing and nobody hears of it.
    var older = Samples.directive
    older.epoch -= 1
    try await router.direct(older)
    try await node.keepAlive(lease)
    #expect(
      try await router.members() == [
        Member(
          description: Samples.node("a", role: .decode), report: Samples.report("a", sequence: 1),
          directive: Samples.directive)
      ])
    await #expect(throws: RegistryError.nodeTaken(NodeID("a"), incarnation: 1)) {
      _ = try await router.register(Samples.node("a"), leaseSeconds: 600)
    }
    try await node.withdraw(lease)
    #expect(await events.next() == .left(NodeID("a"), .deleted))
    #expect(try await router.members().isEmpty)
    await #expect(throws: RegistryError.leaseLost(NodeID("a"))) { try await node.keepAlive(lease) }
    await #expect(throws: RegistryError.leaseLost(NodeID("a"))) {
      try await node.report(Samples.report("a", sequence: 2), lease: lease)
    }
    try await node.withdraw(lease)
    await #expect(throws: RegistryError.notAMember(NodeID("a"))) { try await router.direct(Samples.directive) }
  }

  @Test(.timeLimit(.minutes(10))) func oneHolderHasTheRightToDirect() async throws {
    let etcd = try EtcdProcess()
    let (first, second) = (try registry(etcd), try registry(etcd))
    let held = try #require(try await first.claimControl(NodeID("r1"), leaseSeconds: 600))
    #expect(try await second.claimControl(NodeID("r2"), leaseSeconds: 2) == nil)
    try await first.keepControl(held)
    try await first.releaseControl(held)
    let next = try #require(try await second.claimControl(NodeID("r2"), leaseSeconds: 1))
    #expect(next.term > held.term)
    await #expect(throws: RegistryError.leaseLost(NodeID("r1"))) { try await first.keepControl(held) }
    try await first.releaseControl(held)
    // A holder that dies gives the right up with its lease, and nobody takes its key for a member.
    #expect(try await first.members().isEmpty)
    var events = await first.watch().makeAsyncIterator()
    #expect(await events.next() == .snapshot([]))
    var taken: ControlLease?
    for _ in 0..<1000 where taken == nil {
      taken = try await first.claimControl(NodeID("r3"), leaseSeconds: 1)
      if taken == nil { try await Task.sleep(for: .milliseconds(10)) }
    }
    #expect(try #require(taken).term > next.term)
    let lease = try await first.register(Samples.node("a"), leaseSeconds: 600)
    #expect(try await second.directive(to: NodeID("a")) == nil)
    try await first.direct(Samples.directive)
    #expect(try await second.directive(to: NodeID("a")) == Samples.directive)
    try await first.withdraw(lease)
  }

  @Test(.timeLimit(.minutes(10))) func aDeadNodeLeavesWithItsLeaseAndItsSuccessorTakesOver() async throws {
    let etcd = try EtcdProcess()
    let registry = try registry(etcd)
    var events = await registry.watch().makeAsyncIterator()
    #expect(await events.next() == .snapshot([]))
    let first = try await registry.register(Samples.node("a", incarnation: 1), leaseSeconds: 600)
    #expect(await events.next() == .joined(Samples.node("a", incarnation: 1)))
    let second = try await registry.register(Samples.node("a", incarnation: 2), leaseSeconds: 600)
    #expect(await events.next() == .joined(Samples.node("a", incarnation: 2)))
    // The first lease's end must not take the successor with it.
    try await registry.withdraw(first)
    #expect(try await registry.members().map(\.description.incarnation) == [2])
    let other = try await registry.register(Samples.node("b"), leaseSeconds: 2)
    #expect(await events.next() == .joined(Samples.node("b")))
    #expect(other.leaseSeconds >= 2)
    // Nobody keeps b alive: etcd ends the lease, within its 2 s and a little.
    #expect(await events.next() == .left(NodeID("b"), .deleted))
    try await registry.keepAlive(second)
  }

  @Test(.timeLimit(.minutes(10))) func anEtcdThatGoesAwayAndComesBackCostsNothingButTime() async throws {
    let etcd = try EtcdProcess()
    let registry = try registry(etcd)
    let clock = SystemClock()
    var view = ClusterView()
    var events = await registry.watch().makeAsyncIterator()
    let lease = try await registry.register(Samples.node("a"), leaseSeconds: 600)
    while view.facts(now: clock.now()).isEmpty {
      if let event = await events.next() { view.apply(event, now: clock.now()) }
    }
    etcd.stop()
    while view.isConnected { if let event = await events.next() { view.apply(event, now: clock.now()) } }
    #expect(view.facts(now: clock.now()).map(\.isAlive) == [true])
    await #expect(throws: RegistryError.self) { try await registry.keepAlive(lease) }
    try etcd.start()
    while !view.isConnected { if let event = await events.next() { view.apply(event, now: clock.now()) } }
    #expect(view.facts(now: clock.now()).map(\.id) == [NodeID("a")])
    try await registry.keepAlive(lease)
  }
}
