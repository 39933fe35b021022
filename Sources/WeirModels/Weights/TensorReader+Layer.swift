// From a file's tensors to one layer's weights, separate, fused or stacked.

import WeirKernels
import WeirModelFiles

extension TensorReader {
  mutating func layer(_ index: Int) throws(ModelError) -> LayerWeights {
    let d = description
    let queryRows = d.heads * d.headDim
    let keyRows = d.kvHeads * d.headDim
    let (query, key, value) = try queryKeyValue(index, queryRows: queryRows, keyRows: keyRows)
    let output = try matrix(try require(.attentionOutput, layer: index), rows: d.width, columns: queryRows)
    let biases = try queryKeyValueBiases(index, queryRows: queryRows, keyRows: keyRows)
    return LayerWeights(
      attentionNorm: try norm(.attentionNorm, layer: index, count: d.width), query: query, key: key, value: value,
      attentionOutput: output, queryBias: biases.0, keyBias: biases.1, valueBias: biases.2,
      attentionOutputBias: try vector(.attentionOutputBias, layer: index, count: d.width),
      queryNorm: try vector(
        .queryNorm, layer: index, count: d.normsWholeRow ? queryRows : d.headDim, isNorm: true),
      keyNorm: try vector(.keyNorm, layer: index, count: d.normsWholeRow ? keyRows : d.headDim, isNorm: true),
      postAttentionNorm: try vector(.postAttentionNorm, layer: index, count: d.width, isNorm: true),
      feedForwardNorm: try norm(.feedForwardNorm, layer: index, count: d.width),
      feedForward: try feedForward(index),
      postFeedForwardNorm: try vector(.postFeedForwardNorm, layer: index, count: d.width, isNorm: true))
  }

  private mutating func queryKeyValue(
    _ index: Int, queryRows: Int, keyRows: Int
  ) throws(ModelError) -> (WeightMatrix, WeightMatrix, WeightMatrix) {
    let columns = description.width
    if !has(.query, layer: index), let fused = find(.queryKeyValue, layer: index) {
      let total = queryRows + 2 * keyRows
      return (
        try matrix(fused, rows: queryRows, columns: columns, first: 0, total: total),
        try matrix(fused, rows: keyRows, columns: columns, first: queryRows, total: total),
        try matrix(fused, rows: keyRows, columns: columns, first: queryRows + keyRows, total: total)
      )
    }
    return (
      try matrix(try require(.query, layer: index), rows: queryRows, columns: columns),
      try matrix(try require(.key, layer: index), rows: keyRows, columns: columns),
      try matrix(try require(.value, layer: index), rows: keyRows, columns: columns)
    )
  }

  private mutating func queryKeyValueBiases(
    _ index: Int, queryRows: Int, keyRows: Int
  ) throws(ModelError) -> (WeightVector?, WeightVector?, WeightVector?) {
    if let fused = find(.queryKeyValueBias, layer: index) {
      let total = queryRows + 2 * keyRows
      return (
        try vector(fused, range: 0..<queryRows, total: total),
        try vector(fused, range: queryRows..<(queryRows + keyRows), total: total),
        try vector(fused, range: (queryRows + keyRows)..<total, total: total)
      )
    }
    return (
      try vector(.queryBias, layer: index, count: queryRows), try vector(.keyBias, layer: index, count: keyRows),
      try vector(.valueBias, layer: index, count: keyRows)
    )
  }

  private mutating func feedForward(_ index: Int) throws(ModelError) -> FeedForward {
    if description.layerKinds[index].usesExperts, let experts = description.experts {
      return .experts(try mixture(index, experts))
    }
    let width = description.width
    let inner = description.feedForwardWidth
    let down = try matrix(try require(.down, layer: index), rows: width, columns: inner)
    if !has(.gate, layer: index), let fused = find(.gateUp, layer: index) {
      return .dense(
        FeedForwardWeights(
          gate: try matrix(fused, rows: inner, columns: width, first: 0, total: 2 * inner),
          up: try matrix(fused, rows: inner, columns: width, first: inner, total: 2 * inner), down: down))
    }
    return .dense(
      FeedForwardWeights(
        gate: try matrix(try require(.gate, layer: index), rows: inner, columns: width),
        up: try matrix(try require(.up, layer: index), rows: inner, columns: width), down: down,
        gateBias: try vector(.gateBias, layer: index, count: inner),
        upBias: try vector(.upBias, layer: index, count: inner),
        downBias: try vector(.downBias, layer: index, count: width)))
  }

  private mutating func mixture(_ index: Int, _ experts: ExpertDescription) throws(ModelError) -> ExpertWeights {
    let width = description.width
    let router = try matrix(try require(.router, layer: index), rows: experts.count, columns: width)
    var parts: [FeedForwardWeights] = []
    for expert in 0..<experts.count {
      parts.append(
        FeedForwardWeights(
          gate: try expertMatrix(
            .stackedGate, .expertGate, index, expert, rows: experts.width, columns: width, count: experts.count),
          up: try expertMatrix(
            .stackedUp, .expertUp, index, expert, rows: experts.width, columns: width, count: experts.count),
          down: try expertMatrix(
            .stackedDown, .expertDown, index, expert, rows: width, columns: experts.width, count: experts.count)))
    }
    var weights = ExpertWeights(router: router, experts: parts)
    guard experts.sharedWidth > 0 else { return weights }
    weights.shared = FeedForwardWeights(
      gate: try matrix(try require(.sharedGate, layer: index), rows: experts.sharedWidth, columns: width),
      up: try matrix(try require(.sharedUp, layer: index), rows: experts.sharedWidth, columns: width),
      down: try matrix(try require(.sharedDown, layer: index), rows: width, columns: experts.sharedWidth))
    if let view = find(.sharedRouter, layer: index) { weights.sharedRouter = try matrix(view, rows: 1, columns: width) }
    return weights
  }

  /// One expert's matrix: a part of a stacked tensor `[experts, rows, columns]`, or a tensor of its own.
  private mutating func expertMatrix(
    _ stacked: TensorRole, _ single: TensorRole, _ layer: Int, _ expert: Int, rows: Int, columns: Int, count: Int
  ) throws(ModelError) -> WeightMatrix {
    if let view = find(stacked, layer: layer) {
      return try matrix(view, rows: rows, columns: columns, first: expert * rows, total: count * rows)
    }
    return try matrix(try require(single, layer: layer, expert: expert), rows: rows, columns: columns)
  }
}
