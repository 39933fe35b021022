// The weights of one layer, as the forward pass uses them.

import WeirKernels

/// A norm weight or bias as aligned f32. Immutable after loading.
final class WeightVector {
  private let storage: FloatBuffer
  let count: Int

  init(count: Int) {
    storage = FloatBuffer(rows: 1, columns: count)
    self.count = count
  }

  var pointer: UnsafePointer<Float> { UnsafePointer(storage.rows.base) }
  var values: UnsafeMutablePointer<Float> { storage.rows.base }
}

/// A gated feed-forward part: `down(activation(gate x) * up x)`.
struct FeedForwardWeights {
  var gate: WeightMatrix
  var up: WeightMatrix
  var down: WeightMatrix
  var gateBias: WeightVector?
  var upBias: WeightVector?
  var downBias: WeightVector?

  var width: Int { gate.rows }
  var matrices: [WeightMatrix] { [gate, up, down] }
}

/// A mixture of such parts and its router.
struct ExpertWeights {
  var router: WeightMatrix
  var experts: [FeedForwardWeights]
  var shared: FeedForwardWeights?
  /// One row: its sigmoid scales the shared expert's output. nil: the output is used as it is.
  var sharedRouter: WeightMatrix?
}

enum FeedForward {
  case dense(FeedForwardWeights)
  case experts(ExpertWeights)
}

struct LayerWeights {
  var attentionNorm: WeightVector
  var query: WeightMatrix
  var key: WeightMatrix
  var value: WeightMatrix
  var attentionOutput: WeightMatrix
  var queryBias: WeightVector?
  var keyBias: WeightVector?
  var valueBias: WeightVector?
  var attentionOutputBias: WeightVector?
  var queryNorm: WeightVector?
  var keyNorm: WeightVector?
  var postAttentionNorm: WeightVector?
  var feedForwardNorm: WeightVector
  var feedForward: FeedForward
  var postFeedForwardNorm: WeightVector?

  /// Every matrix of the layer.
  var matrices: [WeightMatrix] {
    var all = [query, key, value, attentionOutput]
    switch feedForward {
    case .dense(let part): all += part.matrices
    case .experts(let mixture):
      all.append(mixture.router)
      for expert in mixture.experts { all += expert.matrices }
      if let shared = mixture.shared { all += shared.matrices }
      if let router = mixture.sharedRouter { all.append(router) }
    }
    return all
  }
}
