// An engine as a node of a cluster: what it says of itself and of its load.

public import WeirBasics
public import WeirCluster

extension EngineInformation {
  /// The engine as a member; nil for one that has no KV of its own to hand over.
  ///
  /// - Parameters:
  ///   - id: the node's name.
  ///   - incarnation: larger than that of every earlier start of this node.
  ///   - addresses: where it can be reached.
  ///   - homeRole: the role that it is started with.
  public func nodeDescription(
    _ id: NodeID, incarnation: Int, addresses: NodeAddresses, homeRole: Role
  ) -> NodeDescription? {
    guard let kvShape, let modelFingerprint else { return nil }
    return NodeDescription(
      id: id, incarnation: incarnation, addresses: addresses, modelName: modelName,
      model: ModelFingerprint(modelFingerprint), kv: kvShape,
      capacity: NodeCapacity(
        totalBlocks: max(1, totalBlocks), runningLimit: max(1, maxSequences), stepTokens: max(1, stepTokens),
        mixedPrefillTokens: max(1, mixedPrefillTokens), contextLength: contextLength),
      homeRole: homeRole)
  }
}

extension EngineStatus {
  /// The engine's numbers as the report of a node.
  public func loadReport(of node: NodeID, incarnation: Int, sequence: Int, role: Role) -> LoadReport {
    var report = LoadReport(node: node, incarnation: incarnation, sequence: sequence, role: role)
    report.isDraining = isDraining
    report.queues = load
    report.waitingDecodes = handoffs.arriving
    report.sendingRequests = handoffs.held
    report.promisedBlocks = promisedBlocks
    report.preemptedSequences = preemptedSequences
    report.computeUtilisation = prefillShare
    report.memoryBandwidthUtilisation = decodeShare
    report.speeds = speeds
    return report
  }
}
