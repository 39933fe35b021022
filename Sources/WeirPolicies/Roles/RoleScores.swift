// How loaded is each side of a node? FlowKV folds queues and utilisations into two scores; the weights are ours.

import WeirCluster

/// Weights of the two scores. The paper fixed its own by experiment and did not publish them; these are the ones that
/// its digest proposes, with one addition that is stated below.
public struct RoleScoreWeights: Sendable, Equatable {
  /// Prefill: waiting prompt tokens (full at `queueSteps` whole steps), compute, KV, sending queue (full at 8).
  public var prefillQueue = 0.5
  public var prefillCompute = 0.2
  public var prefillKV = 0.2
  public var prefillSending = 0.1
  public var queueSteps = 4.0
  /// Decode: KV, running sequences, memory bandwidth, preempted sequences (full at 8).
  public var decodeKV = 0.4
  public var decodeRunning = 0.3
  public var decodeBandwidth = 0.2
  public var decodePreempted = 0.1
  /// The addition: a sum of shares stays below any high threshold while one of the shares is low (a prefill node with
  /// a long queue and a roomy pool never passes 0.8), so a queue counts by itself as well: a prefill queue of this many
  /// predicted seconds is a score of 1. 0 leaves the addition out.
  public var fullQueueSeconds = 4.0
  /// The same for decode: a full batch is 0.8, and each waiting sequence adds its share of the batch. False leaves it
  /// out.
  public var countsFullBatch = true

  public init() {}
}

/// The two scores of one node, `0...1` each.
struct RoleScores: Equatable {
  var prefill: Double
  var decode: Double

  init(_ node: NodeFacts, _ weights: RoleScoreWeights) {
    let load = node.average
    let capacity = node.description.capacity
    func share(_ value: Double, of full: Double) -> Double { full > 0 ? min(1, max(0, value / full)) : 0 }
    let fullTokens = Double(capacity.stepTokens) * weights.queueSteps
    let prefillSum =
      weights.prefillQueue * share(load.waitingPromptTokens, of: fullTokens)
      + weights.prefillCompute * load.computeUtilisation + weights.prefillKV * load.kvUsage
      + weights.prefillSending * share(load.sendingRequests, of: 8)
    var queue = 0.0
    if weights.fullQueueSeconds > 0, let rate = node.report.speeds.prefillTokens?.perSecond {
      queue = share(load.waitingPromptTokens / rate, of: weights.fullQueueSeconds)
    }
    prefill = min(1, max(prefillSum, queue))
    let limit = Double(capacity.runningLimit)
    let decodeSum =
      weights.decodeKV * load.kvUsage + weights.decodeRunning * share(load.runningSequences, of: limit)
      + weights.decodeBandwidth * load.memoryBandwidthUtilisation
      + weights.decodePreempted * share(load.preemptedSequences, of: 8)
    let batch =
      weights.countsFullBatch
      ? 0.8 * share(load.runningSequences, of: limit) + share(load.waitingDecodes, of: limit) : 0
    decode = min(1, max(decodeSum, batch))
  }
}
