// Leases and roles of one process, under a clock that the test moves.

import Testing
import WeirBasics

@testable import WeirCluster

@Suite struct MembershipTests {
  @Test func aSilentMemberLeavesWhenItsLeaseEnds() async throws {
    let clock = ManualClock()
    let registry = LocalRegistry(clock: clock)
    var events = await registry.watch().makeAsyncIterator()
    #expect(await events.next() == .snapshot([]))
    let a = try await registry.register(Samples.node("a"), leaseSeconds: 10)
    let b = try await registry.register(Samples.node("b"), leaseSeconds: 10)
    #expect(await events.next() == .joined(Samples.node("a")))
    #expect(await events.next() == .joined(Samples.node("b")))
    clock.advance(bySeconds: 9)
    try await registry.keepAlive(a)
    clock.advance(bySeconds: 2)
    await registry.turn()
    #expect(await events.next() == .left(NodeID("b"), .leaseExpired))
    #expect(try await registry.members().map(\.description.id) == [NodeID("a")])
    await #expect(throws: RegistryError.leaseLost(NodeID("b"))) { try await registry.keepAlive(b) }
    await #expect(throws: RegistryError.leaseLost(NodeID("b"))) {
      try await registry.report(Samples.report("b", sequence: 1), lease: b)
    }
    try await registry.withdraw(a)
    #expect(await events.next() == .left(NodeID("a"), .withdrawn))
    try await registry.withdraw(a)
  }

  @Test func aLaterIncarnationTakesThePlaceAndTheEarlierLosesItsLease() async throws {
    let registry = LocalRegistry(clock: ManualClock())
    let first = try await registry.register(Samples.node("a", incarnation: 1), leaseSeconds: 10)
    await #expect(throws: RegistryError.nodeTaken(NodeID("a"), incarnation: 1)) {
      _ = try await registry.register(Samples.node("a", incarnation: 1), leaseSeconds: 10)
    }
    let second = try await registry.register(Samples.node("a", incarnation: 2), leaseSeconds: 10)
    await #expect(throws: RegistryError.leaseLost(NodeID("a"))) { try await registry.keepAlive(first) }
    try await registry.withdraw(first)
    #expect(try await registry.members().map(\.description.incarnation) == [2])
    try await registry.keepAlive(second)
  }

  @Test func reportsAndDirectivesNeverGoBack() async throws {
    let registry = LocalRegistry(clock: ManualClock())
    let lease = try await registry.register(Samples.node("a"), leaseSeconds: 10)
    try await registry.report(Samples.report("a", sequence: 2, waitingTokens: 20), lease: lease)
    try await registry.report(Samples.report("a", sequence: 1, waitingTokens: 10), lease: lease)
    var directive = Samples.directive
    try await registry.direct(directive)
    directive.epoch -= 1
    directive.role = .prefill
    try await registry.direct(directive)
    let member = try #require(try await registry.members().first)
    #expect(member.report?.sequence == 2)
    #expect(member.directive == Samples.directive)
    directive.node = NodeID("z")
    await #expect(throws: RegistryError.notAMember(NodeID("z"))) { try await registry.direct(directive) }
  }

  @Test func theRightToDirectEndsWithItsLease() async throws {
    let clock = ManualClock()
    let registry = LocalRegistry(clock: clock)
    let first = try #require(try await registry.claimControl(NodeID("r1"), leaseSeconds: 3))
    clock.advance(bySeconds: 2)
    try await registry.keepControl(first)
    clock.advance(bySeconds: 2)
    #expect(try await registry.claimControl(NodeID("r2"), leaseSeconds: 3) == nil)
    clock.advance(bySeconds: 2)
    let second = try #require(try await registry.claimControl(NodeID("r2"), leaseSeconds: 3))
    #expect(second.term > first.term)
    await #expect(throws: RegistryError.leaseLost(NodeID("r1"))) { try await registry.keepControl(first) }
    // Who lost the right cannot take it from its successor either.
    try await registry.releaseControl(first)
    try await registry.keepControl(second)
    try await registry.releaseControl(second)
    #expect(try await registry.claimControl(NodeID("r1"), leaseSeconds: 3) != nil)
  }

  @Test func namesAndLeasesOutOfRangeAreRefused() async {
    let registry = LocalRegistry(clock: ManualClock())
    await #expect(throws: RegistryError.invalidNodeID("a b")) {
      _ = try await registry.register(Samples.node("a b"), leaseSeconds: 10)
    }
    for seconds in [0, -1, Double.nan, .infinity, 4000] {
      await #expect(throws: RegistryError.self) {
        _ = try await registry.register(Samples.node("a"), leaseSeconds: seconds)
      }
    }
  }

  @Test func aWatcherThatFallsBehindIsEndedInsteadOfMisled() async throws {
    let registry = LocalRegistry(clock: ManualClock())
    let stream = await registry.watch()
    let lease = try await registry.register(Samples.node("a"), leaseSeconds: 10)
    for sequence in 0...LocalRegistry.watcherEvents {
      try await registry.report(Samples.report("a", sequence: sequence), lease: lease)
    }
    var seen = 0
    for await _ in stream { seen += 1 }
    #expect(seen == LocalRegistry.watcherEvents)
    #expect(await registry.watcherCount == 0)
  }

  @Test func aNodeReturnsHomeWhenItsDirectiveEnds() {
    var state = RoleState(home: .decode)
    func directive(_ role: Role, cycles: Int, epoch: Int) -> RoleDirective {
      RoleDirective(node: NodeID("a"), role: role, timeToLiveCycles: cycles, epoch: epoch, reason: "")
    }
    var followed = [state.receive(directive(.mixed, cycles: 2, epoch: 5))]
    #expect(state.role == .mixed)
    followed.append(state.receive(directive(.prefill, cycles: 9, epoch: 5)))
    #expect(followed == [true, false])
    var returns = [state.endCycle()]
    #expect(state.role == .mixed)
    returns.append(state.endCycle())
    #expect(state.role == .decode)
    returns.append(state.endCycle())
    #expect(returns == [false, true, false])
    // A directive that names the home role ends the present one.
    followed = [
      state.receive(directive(.mixed, cycles: 9, epoch: 6)), state.receive(directive(.decode, cycles: 1, epoch: 7)),
    ]
    #expect(followed == [true, true])
    #expect(state.role == .decode && state.directive == nil)
  }

  @Test func aNodeKeepsTryingWhileTheRegistryIsAway() throws {
    let clock = ManualClock()
    var keeper = LeaseKeeper(leaseSeconds: 9, longestWaitSeconds: 2)
    #expect(keeper.next(now: clock.now()) == .register)
    let lease = RegistryLease(node: NodeID("a"), incarnation: 1, id: 4, leaseSeconds: 9)
    keeper.registered(lease, now: clock.now())
    guard case .wait(let until) = keeper.next(now: clock.now()) else {
      Issue.record("a fresh lease is not kept alive at once")
      return
    }
    #expect(until.seconds(since: clock.now()) == 3)
    clock.advance(bySeconds: 3)
    #expect(keeper.next(now: clock.now()) == .keepAlive(lease))
    // Unreachable: waits of 0.1, 0.2, 0.4 ... 2 s, and the lease is kept in mind.
    var waits: [Double] = []
    for _ in 0..<7 {
      keeper.failed(.unreachable("x"), now: clock.now())
      guard case .wait(let until) = keeper.next(now: clock.now()) else { break }
      waits.append((until.seconds(since: clock.now()) * 10).rounded() / 10)
      clock.advance(bySeconds: until.seconds(since: clock.now()))
    }
    #expect(waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2])
    #expect(keeper.next(now: clock.now()) == .keepAlive(lease))
    keeper.failed(.leaseLost(NodeID("a")), now: clock.now())
    #expect(keeper.next(now: clock.now()) == .register)
    #expect(keeper.current == nil)
  }
}
