// Every policy by its key: what flags and configuration files name. One line per policy.

public import WeirCluster

/// Values of `--routing`.
public enum RoutingKey: String, Sendable, CaseIterable {
  case roundRobin = "round-robin"
  case leastLoaded = "least-loaded"
  case prefixAware = "prefix-aware"
  case loadAware = "load-aware"

  /// The policy with its default configuration.
  public var policy: any Routing {
    switch self {
    case .roundRobin: RoundRobin()
    case .leastLoaded: LeastLoaded()
    case .prefixAware: PrefixAware()
    case .loadAware: LoadAware()
    }
  }

  /// One line for help texts.
  public var summary: String {
    switch self {
    case .roundRobin: "every node in turn"
    case .leastLoaded: "shortest prefill queue, fewest sequences (DistServe)"
    case .prefixAware: "cached prefix against busy blocks (Dynamo's cost)"
    case .loadAware: "smallest predicted time from measured speeds (FlowKV)"
    }
  }
}

/// Values of `--roles`.
public enum RolesKey: String, Sendable, CaseIterable {
  case `static` = "static"
  case loadAware = "load-aware"

  /// The plan with its default configuration.
  ///
  /// - Parameter firstEpoch: larger than the epoch of every directive that an earlier plan of this cluster sent.
  public func plan(firstEpoch: Int) -> any RolePlan {
    switch self {
    case .static: StaticRoles()
    case .loadAware: LoadAwareRoles(firstEpoch: firstEpoch)
    }
  }

  /// One line for help texts.
  public var summary: String {
    switch self {
    case .static: "every node keeps the role it was started with"
    case .loadAware: "idle nodes of one side help the overloaded other (FlowKV)"
    }
  }
}

/// Names of KV policies: values of `--kv-policy` and of a request's `kv_policy`. `KVPolicyCatalogue` makes them.
public enum KVPolicyKey: String, Sendable, CaseIterable {
  case full
  case sinkRecent = "sink-recent"
  case tova
  case snapkv
  case keydiff
  case h2o
  case sentencekv
  case random
  case oracle
}
