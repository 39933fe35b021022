// Nodes for policies: every number can be set, the rest is an ordinary idle node.

import WeirBasics
import WeirCluster

enum Samples {
  static let model = ModelFingerprint("m")
  static let shape = KVShape(layers: 2, kvHeads: 2, headDim: 64, blockSlots: 16, keyType: .f16, valueType: .f16)

  static func description(
    _ id: String, role: Role = .mixed, model: ModelFingerprint = model, blocks: Int = 1000, context: Int = 16_384,
    limit: Int = 16
  ) -> NodeDescription {
    NodeDescription(
      id: NodeID(id), incarnation: 1, addresses: NodeAddresses(http: "h:1"), modelName: "m", model: model, kv: shape,
      capacity: NodeCapacity(
        totalBlocks: blocks, runningLimit: limit, stepTokens: 512, mixedPrefillTokens: 256, contextLength: context),
      homeRole: role)
  }

  /// An idle node with measured speeds, nil for unmeasured ones.
  static func node(
    _ id: String, role: Role = .mixed, prefill: Double? = 1000, decode: Double? = 400, batch: Double = 8,
    _ change: (inout NodeFacts) -> Void = { _ in }
  ) -> NodeFacts {
    var facts = NodeFacts(joined: description(id, role: role))
    facts.report.sequence = 1
    facts.report.speeds = MeasuredSpeeds(
      prefillTokens: prefill.map { MeasuredRate(perSecond: $0, ageSeconds: 1) },
      decodeTokens: decode.map { MeasuredRate(perSecond: $0, ageSeconds: 1) }, decodeBatch: batch)
    change(&facts)
    facts.average = LoadVector(facts.report)
    return facts
  }

  static func request(
    _ prompt: Int = 1000, _ output: Int = 100, hits: [String: Int] = [:], model: ModelFingerprint = model
  ) -> RouteRequest {
    RouteRequest(
      request: RequestID("r"), model: model, promptTokens: prompt, expectedOutputTokens: output,
      hitTokens: Dictionary(uniqueKeysWithValues: hits.map { (NodeID($0.key), $0.value) }))
  }

  static func facts(_ nodes: [NodeFacts], turn: UInt64 = 0) -> RouteFacts {
    RouteFacts(nodes: nodes, now: Instant(nanoseconds: 1_000_000_000), turn: turn)
  }
}

extension RouteReasons {
  /// One number of one option.
  func term(_ name: String, _ node: String, _ side: Side?) -> Double? {
    options.first { $0.node == NodeID(node) && $0.side == side }?.terms.first { $0.name == name }?.value
  }
}
