// The registry of a cluster of machines: etcd 3 over its JSON gateway.

public import WeirBasics

/// Membership in etcd. Reports and descriptions are bound to the node's lease, so that everything of a dead node goes
/// at once. While etcd is away, watchers keep what they know and nodes keep serving.
public actor EtcdRegistry: Registry {
  /// Longest line of a watch that is read: etcd's own limit for one request is 1.5 MiB, base64 adds a third.
  static let lineLimitBytes = 4 << 20

  public nonisolated let place: String
  private let exchange: any HTTPExchange
  private let keys: EtcdKeys
  private let timeoutSeconds: Double
  private let pause: @Sendable (_ seconds: Double) async -> Void

  /// - Parameters:
  ///   - exchange: speaks HTTP with etcd.
  ///   - cluster: separates clusters in one etcd; of the characters of a node id.
  ///   - timeoutSeconds: longest wait for an answer.
  ///   - pause: waits between two tries of a watch.
  /// - Throws: `.invalidNodeID` if `cluster` has other characters.
  public init(
    exchange: any HTTPExchange, cluster: String = "default", timeoutSeconds: Double = 2,
    pause: @escaping @Sendable (_ seconds: Double) async -> Void = { try? await Task.sleep(for: .seconds($0)) }
  ) throws(RegistryError) {
    guard NodeDescription.isValid(NodeID(cluster)) else { throw .invalidNodeID(cluster) }
    self.exchange = exchange
    self.keys = EtcdKeys(cluster: cluster)
    self.timeoutSeconds = timeoutSeconds
    self.pause = pause
    place = "in etcd at \(exchange.server), cluster \(cluster)"
  }

  private func ask(_ path: String, _ body: JSONValue) async throws(RegistryError) -> JSONValue {
    let answer: HTTPAnswer
    do {
      answer = try await exchange.post(path: path, body: body.serializedBytes(), timeoutSeconds: timeoutSeconds)
    } catch {
      throw .unreachable("\(exchange.server): \(error)")
    }
    return try EtcdWire.body(of: answer)
  }

  // MARK: - A node's side

  public func register(
    _ node: NodeDescription, leaseSeconds: Double
  ) async throws(RegistryError) -> RegistryLease {
    try Membership.check(node.id, leaseSeconds: leaseSeconds)
    let key = keys.key(.nodes, node.id)
    let present = try EtcdWire.pairs(try await ask(EtcdWire.rangePath, EtcdWire.range(key: key))).first
    // An entry that cannot be read belongs to nobody who could still be obeyed: it is replaced.
    let known = present.flatMap { try? NodeDescription.parse(utf8: $0.value) }
    if let known, known.incarnation >= node.incarnation {
      throw .nodeTaken(node.id, incarnation: known.incarnation)
    }
    guard
      let made = try await claim(key, node.json, at: present?.modifyRevision ?? 0, leaseSeconds: leaseSeconds)
    else { throw .nodeTaken(node.id, incarnation: node.incarnation) }
    return RegistryLease(
      node: node.id, incarnation: node.incarnation, id: made.id, leaseSeconds: made.leaseSeconds)
  }

  /// Writes a value under a lease of its own; nil if the key is no longer at `revision`.
  private func claim(
    _ key: String, _ value: JSONValue, at revision: Int, leaseSeconds: Double
  ) async throws(RegistryError) -> (id: Int64, leaseSeconds: Double, answer: JSONValue)? {
    // etcd counts leases in whole seconds.
    let grant = EtcdWire.grant(seconds: Int(leaseSeconds.rounded(.up)))
    let granted = try EtcdWire.granted(try await ask(EtcdWire.grantPath, grant))
    let put = EtcdWire.put(key: key, value: value, lease: granted.id)
    let answer = try await ask(
      EtcdWire.transactionPath, EtcdWire.putIfUnchanged(key: key, revision: revision, put: put))
    guard EtcdWire.succeeded(answer) else {
      try? await revoke(granted.id)
      return nil
    }
    return (granted.id, Double(max(1, granted.seconds)), answer)
  }

  public func keepAlive(_ lease: RegistryLease) async throws(RegistryError) {
    try await keepAlive(lease.id, of: lease.node)
  }

  private func keepAlive(_ id: Int64, of holder: NodeID) async throws(RegistryError) {
    let body = try await ask(EtcdWire.keepAlivePath, EtcdWire.lease(id))
    guard try EtcdWire.isAlive(keepAlive: body) else { throw .leaseLost(holder) }
  }

  public func report(_ report: LoadReport, lease: RegistryLease) async throws(RegistryError) {
    let put = EtcdWire.put(key: keys.key(.load, lease.node), value: report.json, lease: lease.id)
    do {
      _ = try await ask(EtcdWire.putPath, put)
    } catch {
      throw Self.isLost(error) ? .leaseLost(lease.node) : error
    }
  }

  public func withdraw(_ lease: RegistryLease) async throws(RegistryError) {
    try await revoke(lease.id)
  }

  /// Ends a lease; everything bound to it goes with it.
  private func revoke(_ id: Int64) async throws(RegistryError) {
    do {
      _ = try await ask(EtcdWire.revokePath, EtcdWire.lease(id))
    } catch {
      if !Self.isLost(error) { throw error }
    }
  }

  /// etcd's words for a lease it does not know.
  private static func isLost(_ error: RegistryError) -> Bool {
    guard case .refused(_, let message) = error else { return false }
    return message.contains("lease not found")
  }

  // MARK: - Everybody's side

  public func direct(_ directive: RoleDirective) async throws(RegistryError) {
    let key = keys.key(.roles, directive.node)
    let node = try await ask(EtcdWire.rangePath, EtcdWire.range(key: keys.key(.nodes, directive.node)))
    guard let holder = node["kvs"]?[0] else { throw .notAMember(directive.node) }
    // Bound to the node's own lease: a directive must not outlive whom it directs.
    let put = EtcdWire.put(key: key, value: directive.json, lease: try EtcdWire.long(holder["lease"]))
    let present = try EtcdWire.pairs(try await ask(EtcdWire.rangePath, EtcdWire.range(key: key))).first
    let known = present.flatMap { try? RoleDirective.parse(utf8: $0.value) }
    if let known, known.epoch >= directive.epoch { return }
    // Of two controllers that write at once, the slower one gives way.
    _ = try await ask(
      EtcdWire.transactionPath,
      EtcdWire.putIfUnchanged(key: key, revision: present?.modifyRevision ?? 0, put: put))
  }

  public func directive(to node: NodeID) async throws(RegistryError) -> RoleDirective? {
    let pairs = try EtcdWire.pairs(try await ask(EtcdWire.rangePath, EtcdWire.range(key: keys.key(.roles, node))))
    // What cannot be read directs nobody.
    return pairs.first.flatMap { try? RoleDirective.parse(utf8: $0.value) }
  }

  public func claimControl(
    _ holder: NodeID, leaseSeconds: Double
  ) async throws(RegistryError) -> ControlLease? {
    try Membership.check(holder, leaseSeconds: leaseSeconds)
    let present = try EtcdWire.pairs(try await ask(EtcdWire.rangePath, EtcdWire.range(key: keys.control)))
    guard present.isEmpty else { return nil }
    let value: JSONValue = ["holder": JSONValue(holder.rawValue)]
    guard let made = try await claim(keys.control, value, at: 0, leaseSeconds: leaseSeconds) else { return nil }
    // The store's revision grows with every write, so it also grows from holder to holder.
    return ControlLease(
      holder: holder, id: made.id, term: try EtcdWire.revision(made.answer), leaseSeconds: made.leaseSeconds)
  }

  public func keepControl(_ lease: ControlLease) async throws(RegistryError) {
    try await keepAlive(lease.id, of: lease.holder)
  }

  public func releaseControl(_ lease: ControlLease) async throws(RegistryError) { try await revoke(lease.id) }

  public func members() async throws(RegistryError) -> [Member] { try await list().members }

  private func list() async throws(RegistryError) -> (members: [Member], refused: [MembershipEvent], revision: Int) {
    let body = try await ask(EtcdWire.rangePath, EtcdWire.range(prefix: keys.prefix))
    let read = keys.members(try EtcdWire.pairs(body))
    return (read.members, read.refused, try EtcdWire.revision(body))
  }

  public func watch() async -> AsyncStream<MembershipEvent> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: MembershipEvent.self, bufferingPolicy: .bufferingOldest(LocalRegistry.watcherEvents))
    let task = Task { await self.follow(continuation) }
    continuation.onTermination = { _ in task.cancel() }
    return stream
  }

  /// Lists, watches from there, and begins again after every interruption, until the consumer leaves.
  private func follow(_ continuation: AsyncStream<MembershipEvent>.Continuation) async {
    var failures = 0
    while !Task.isCancelled {
      do throws(RegistryError) {
        let start = try await list()
        failures = 0
        for event in [.snapshot(start.members)] + start.refused {
          guard Self.give(event, to: continuation) else { return }
        }
        try await followLines(from: start.revision + 1, continuation)
      } catch {
        if Task.isCancelled || error == .watcherTooSlow { break }
        guard Self.give(.interrupted(error), to: continuation) else { return }
        failures += 1
        await pause(min(5, 0.1 * Double(1 << min(failures - 1, 10))))
      }
    }
    continuation.finish()
  }

  /// The events that one line of a watch's answer means.
  ///
  /// - Throws: ``RegistryError`` if the line is not what etcd's protocol says, or ends the watch.
  public static func events(ofWatchLine line: [UInt8], cluster: String) throws(RegistryError) -> [MembershipEvent] {
    switch try EtcdWire.watchMessage(line) {
    case .created: return []
    case .cancelled(let why): throw .refused(status: 200, message: "the watch was ended: \(why)")
    case .changes(let changes, _):
      let keys = EtcdKeys(cluster: cluster)
      return changes.compactMap { keys.event(of: $0) }
    }
  }

  private func followLines(
    from revision: Int, _ continuation: AsyncStream<MembershipEvent>.Continuation
  ) async throws(RegistryError) {
    let body = EtcdWire.watch(prefix: keys.prefix, fromRevision: revision).serializedBytes()
    for await step in exchange.lines(path: EtcdWire.watchPath, body: body, lineLimitBytes: Self.lineLimitBytes) {
      guard case .line(let line) = step else {
        if case .ended(let error?) = step { throw .unreachable("\(exchange.server): \(error)") }
        break
      }
      if line.isEmpty { continue }
      for event in try Self.events(ofWatchLine: line, cluster: keys.cluster) {
        guard Self.give(event, to: continuation) else { throw .watcherTooSlow }
      }
    }
    throw .unreachable("\(exchange.server) ended the watch")
  }

  /// Gives an event to a watcher; false if the watcher is gone or too slow, its watch has ended then.
  private static func give(
    _ event: MembershipEvent, to continuation: AsyncStream<MembershipEvent>.Continuation
  ) -> Bool {
    if case .enqueued = continuation.yield(event) { return true }
    continuation.finish()
    return false
  }
}
