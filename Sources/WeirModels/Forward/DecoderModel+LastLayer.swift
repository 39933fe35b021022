// The last layer of an ordinary step: rows whose logits nobody wants need only their keys and values.

import WeirKernels

extension RowPlan {
  /// The last layer may leave out rows: their states are not wanted, and there are such rows.
  func canPrune(layers count: Int) -> Bool {
    dropsOtherRows && !wantHidden && layers.upperBound == count && !layers.isEmpty && outputRows.count < positions.count
      && zip(outputRows, outputRows.dropFirst()).allSatisfy { $0 < $1 }
      // Whoever chooses keys learns from the queries of every layer.
      && (chooser == nil || sequences.allSatisfy { !$0.choosesKeys || outputRows.contains($0.rows.lowerBound) })
  }
}

extension DecoderModel {
  /// Runs the last layer: keys and values of every row, the rest for output rows alone. Same bits as the full layer.
  ///
  /// - Returns: hidden states of the output rows, `[outputRows, width]`, before the final norm.
  func lastLayer(
    _ plan: RowPlan, _ hidden: Rows, slots: [SlotAddress], call: AttentionCall, _ workspace: ForwardWorkspace
  ) -> Rows {
    let index = description.layers - 1
    let layer = layers[index]
    let normed = workspace.normed.view(rows: hidden.count)
    let (k, v) = (workspace.key.view(rows: hidden.count), workspace.value.view(rows: hidden.count))
    norm(hidden, layer.attentionNorm, into: normed)
    context.multiply([layer.key, layer.value], normed, into: [k, v])
    finishKeyValue(k, v, index, positions: plan.positions)
    store(k, v, index, plan, slots: slots, shape: call.shape)
    let count = plan.outputRows.count
    workspace.reserveLogits(count)
    let kept = workspace.outputHidden.view(rows: count)
    guard count > 0 else { return kept }
    let keptNormed = workspace.part.view(rows: count)
    for (place, row) in plan.outputRows.enumerated() {
      kept.row(place).update(from: hidden.row(row), count: hidden.columns)
      keptNormed.row(place).update(from: normed.row(row), count: hidden.columns)
    }
    var fewer = call.keeping(plan.outputRows)
    fewer.layer = index
    fewer.window = description.layerKinds[index].window
    context.multiply(layer.query, keptNormed, into: fewer.query)
    finishQuery(fewer.query, index, positions: plan.outputRows.map { plan.positions[$0] })
    if let chooser = plan.chooser { fewer.choose(chooser) }
    context.attend(fewer)
    addPart(
      layer.attentionOutput, fewer.output, bias: layer.attentionOutputBias, norm: layer.postAttentionNorm, to: kept,
      workspace)
    feedForward(index, kept, workspace)
    return kept
  }
}

extension AttentionCall {
  /// Has the rows that choose their keys do so for this layer.
  mutating func choose(_ chooser: KeyChooser) {
    let choosing = groups.indices.filter { groups[$0].run.isChosenFrom }
    let choices = chooser(layer, query, choosing.map { Int(groups[$0].rows[0]) })
    for (group, choice) in zip(choosing, choices) { groups[group].run.choice = choice }
  }

  /// The same attention for some of its rows, which move to the front of query and output.
  fileprivate func keeping(_ rows: [Int]) -> AttentionCall {
    var places = [Int32](repeating: -1, count: rowPositions.count)
    for (place, row) in rows.enumerated() { places[row] = Int32(place) }
    var call = self
    call.query = query.slice(0..<rows.count)
    call.output = output.slice(0..<rows.count)
    call.rowPositions = rows.map { rowPositions[$0] }
    call.groups = groups.compactMap { group in
      let kept = group.rows.map { places[Int($0)] }.filter { $0 >= 0 }
      return kept.isEmpty ? nil : AttentionGroup(rows: kept, run: group.run)
    }
    return call
  }
}
