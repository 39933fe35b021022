// A server's place in its cluster's registry: joined when it listens, kept, reported, left.

import Logging
import WeirBasics
import WeirCluster
import WeirEngine

/// Registers this node and says several times per lease how it is. A registry that cannot be reached never stops the
/// server from serving.
struct NodeMember: Sendable {
  static let leaseSeconds = 6.0
  static let reportSeconds = 0.5

  let registry: any Registry
  let reporter: NodeReporter
  let state: ServingState

  /// Nil for a server without a registry.
  init?(_ state: ServingState) {
    guard let registry = state.configuration.registry, let reporter = state.reporter else { return nil }
    self.registry = registry
    self.reporter = reporter
    self.state = state
  }

  /// Runs until it is cancelled; then the node leaves.
  func run() async {
    var keeper = LeaseKeeper(leaseSeconds: Self.leaseSeconds)
    while !Task.isCancelled {
      if state.bound.value != nil {
        await keep(&keeper)
        await report(&keeper)
      }
      try? await Task.sleep(nanoseconds: UInt64(Self.reportSeconds * 1e9))
    }
    guard let lease = keeper.current else { return }
    // A call of a cancelled task would be cancelled too.
    await Task.detached { [registry] in try? await registry.withdraw(lease) }.value
  }

  private func keep(_ keeper: inout LeaseKeeper) async {
    let clock = state.environment.clock
    do throws(RegistryError) {
      switch keeper.next(now: clock.now()) {
      case .wait: return
      case .keepAlive(let lease):
        try await registry.keepAlive(lease)
        keeper.keptAlive(now: clock.now())
      case .register:
        let status = await state.engine.status()
        guard
          let description = reporter.description(state.information, status, boundAddress: state.boundAddress)
        else { return }
        let lease = try await registry.register(description, leaseSeconds: keeper.leaseSeconds)
        keeper.registered(lease, now: clock.now())
        state.logger.info("joined the cluster", metadata: ["registry": "\(registry.place)"])
      }
    } catch {
      note(error)
      keeper.failed(error, now: clock.now())
    }
  }

  private func report(_ keeper: inout LeaseKeeper) async {
    guard let lease = keeper.current else { return }
    let report = reporter.report(await state.engine.status(), isDraining: state.isDraining)
    do throws(RegistryError) {
      try await registry.report(report, lease: lease)
    } catch {
      note(error)
      if case .leaseLost = error { keeper.failed(error, now: state.environment.clock.now()) }
    }
    await obey(lease)
  }

  /// Follows what the cluster's controller has written for this node. Asking for one key is cheaper than hearing of
  /// everybody's reports.
  private func obey(_ lease: RegistryLease) async {
    do throws(RegistryError) {
      guard let directive = try await registry.directive(to: lease.node) else { return }
      do throws(DirectiveRefusal) {
        try reporter.role.obey(directive)
      } catch .stale {
        // It is the one that was followed before.
      } catch {
        state.logger.warning("a role directive is refused", metadata: ["code": "\(error.apiError.code)"])
      }
    } catch {
      note(error)
    }
  }

  private func note(_ error: RegistryError) {
    if !Task.isCancelled { state.logger.warning("registry", metadata: ["error": "\(error.message)"]) }
  }
}
