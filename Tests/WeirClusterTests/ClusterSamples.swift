// Nodes and reports that the tests of this room share.

import WeirBasics
import WeirCluster

enum Samples {
  static let shape = KVShape(layers: 2, kvHeads: 2, headDim: 64, blockSlots: 16, keyType: .f16, valueType: .q8_0)

  static func node(
    _ id: String, incarnation: Int = 1, role: Role = .mixed, blocks: Int = 100
  ) -> NodeDescription {
    NodeDescription(
      id: NodeID(id), incarnation: incarnation,
      addresses: NodeAddresses(http: "127.0.0.1:8000", transfer: "tcp:127.0.0.1:9000"), modelName: "tiny",
      model: ModelFingerprint("sha256:00ff"), kv: shape,
      capacity: NodeCapacity(
        totalBlocks: blocks, runningLimit: 8, stepTokens: 512, mixedPrefillTokens: 256, contextLength: 4096),
      homeRole: role)
  }

  static func report(_ id: String, incarnation: Int = 1, sequence: Int, waitingTokens: Int = 0) -> LoadReport {
    var report = LoadReport(node: NodeID(id), incarnation: incarnation, sequence: sequence, role: .mixed)
    report.queues.runningSequences = 3
    report.queues.waitingRequests = waitingTokens == 0 ? 0 : 1
    report.queues.waitingPromptTokens = waitingTokens
    report.queues.totalBlocks = 100
    report.queues.freeBlocks = 40
    report.queues.cachedBlocks = 20
    report.queues.stepsCompleted = 12
    report.waitingDecodes = 2
    report.promisedBlocks = 10
    report.sendingRequests = 1
    report.preemptedSequences = 1
    report.computeUtilisation = 0.75
    report.memoryBandwidthUtilisation = 0.5
    report.speeds = MeasuredSpeeds(
      prefillTokens: MeasuredRate(perSecond: 950.5, ageSeconds: 0.25), decodeTokens: nil, decodeBatch: 3.5,
      links: [LinkSpeed(peer: NodeID("b"), bytesPerSecond: 3.8e9, operationSeconds: 2.1e-5)])
    return report
  }

  static let directive = RoleDirective(
    node: NodeID("a"), role: .mixed, timeToLiveCycles: 10, epoch: 7, reason: "prefill at 0.91")
}

extension JSONValue {
  /// The value with one member, named by a dotted path, replaced or (nil) removed.
  func replacing(_ path: String, with value: JSONValue?) -> JSONValue {
    guard case .object(var object) = self else { return self }
    let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
    object[parts[0]] = parts.count == 1 ? value : object[parts[0]]?.replacing(parts[1], with: value)
    return .object(object)
  }
}
