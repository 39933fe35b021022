// The forward pass: one code path for prefill, decode, repair and partial layer ranges.

public import WeirBasics
public import WeirKernels

extension DecoderModel {
  /// Computes a batch: writes K and V of every row into its slot and returns logits.
  ///
  /// A row's result depends only on its own sequence: not on the other rows, on how a prompt was cut into chunks, or on
  /// which blocks were attended together; bit for bit.
  ///
  /// - Returns: logits `[outputRows.count, vocabulary]` in the workspace, valid until its next use.
  /// - Precondition: positions are consecutive in each sequence, blocks suffice, rows fit the workspace.
  @discardableResult
  public func forward(_ batch: ForwardBatch, shape: KVShape, workspace: ForwardWorkspace) -> Rows {
    precondition(batch.tokens.count == batch.positions.count, "every row needs a token and a position")
    for sequence in batch.sequences {
      for (offset, row) in sequence.rows.enumerated() {
        precondition(Int(batch.positions[row]) == sequence.firstPosition + offset, "positions must be consecutive")
      }
    }
    var plan = RowPlan(
      input: .tokens(batch.tokens), positions: batch.positions, sequences: batch.sequences,
      layers: 0..<description.layers)
    plan.outputRows = batch.outputRows
    plan.wantHidden = batch.wantHidden
    plan.dropsOtherRows = batch.observer == nil
    plan.observer = batch.observer
    plan.chooser = batch.chooser
    return forwardRows(plan, shape: shape, workspace: workspace).logits
  }

  /// Runs rows through a range of layers: see `RowPlan`. K and V of every row are written into the slot of its
  /// position, in every layer of the range.
  ///
  /// - Returns: hidden states and logits in the workspace, valid until its next use.
  /// - Precondition: the plan's rows, blocks and layers fit the model, the shape and the workspace.
  public func forwardRows(_ plan: RowPlan, shape: KVShape, workspace: ForwardWorkspace) -> RowResult {
    let rows = plan.positions.count
    precondition(rows <= workspace.maxRows, "\(rows) rows do not fit a workspace of \(workspace.maxRows)")
    precondition(plan.layers.lowerBound >= 0 && plan.layers.upperBound <= description.layers, "no such layer")
    precondition(shape.layers == description.layers, "the KV shape belongs to another model")
    let hidden = workspace.hidden.view(rows: rows)
    workspace.finalRows = 0
    enter(plan.input, hidden)
    let slots = plan.slotAddresses(blockSlots: shape.blockSlots)
    var call = plan.attentionCall(
      description, shape: shape, query: workspace.query.view(rows: rows), output: workspace.attention.view(rows: rows))
    let pruned = rows > 0 && plan.canPrune(layers: description.layers)
    for layer in pruned ? plan.layers.dropLast() : plan.layers where rows > 0 {
      attend(layer, hidden, plan, slots: slots, call: &call, workspace)
      feedForward(layer, hidden, workspace)
    }
    if pruned {
      let kept = lastLayer(plan, hidden, slots: slots, call: call, workspace)
      return RowResult(hidden: kept, logits: logits(kept, workspace))
    }
    return RowResult(hidden: hidden, logits: finish(plan, hidden, workspace))
  }

  private func enter(_ input: RowPlan.Input, _ hidden: Rows) {
    switch input {
    case .tokens(let tokens):
      precondition(tokens.count == hidden.count, "every row needs a token")
      for (row, token) in tokens.enumerated() {
        precondition(token.index < description.vocabularySize, "token \(token) is not in the vocabulary")
        embedding.dequantizeRow(token.index, into: hidden.row(row))
      }
      if description.embeddingScale != 1 { context.scale(hidden, by: description.embeddingScale) }
    case .hidden(let states):
      precondition(
        states.count == hidden.count && states.columns == hidden.columns, "hidden states must be [rows, width]")
      for row in 0..<states.count where states.row(row) != hidden.row(row) {
        hidden.row(row).update(from: states.row(row), count: states.columns)
      }
    }
  }

  private func attend(
    _ index: Int, _ hidden: Rows, _ plan: RowPlan, slots: [SlotAddress], call: inout AttentionCall,
    _ workspace: ForwardWorkspace
  ) {
    let layer = layers[index]
    let kind = description.layerKinds[index]
    let normed = workspace.normed.view(rows: hidden.count)
    let (q, k, v) = (call.query, workspace.key.view(rows: hidden.count), workspace.value.view(rows: hidden.count))
    norm(hidden, layer.attentionNorm, into: normed)
    context.multiply([layer.query, layer.key, layer.value], normed, into: [q, k, v])
    finishQuery(q, index, positions: plan.positions)
    finishKeyValue(k, v, index, positions: plan.positions)
    store(k, v, index, plan, slots: slots, shape: call.shape)
    call.layer = index
    call.window = kind.window
    if let chooser = plan.chooser { call.choose(chooser) }
    context.attend(call)
    plan.observer?(index, q)
    addPart(
      layer.attentionOutput, call.output, bias: layer.attentionOutputBias, norm: layer.postAttentionNorm, to: hidden,
      workspace)
  }

  /// Writes keys and values: a slot for each row, or an end of a lane for each row and head.
  func store(_ k: Rows, _ v: Rows, _ index: Int, _ plan: RowPlan, slots: [SlotAddress], shape: KVShape) {
    guard plan.sequences.contains(where: { $0.lanes != nil }) else {
      return context.storeKV(k: k, v: v, layer: index, shape: shape, slots: slots)
    }
    for sequence in plan.sequences {
      let (keys, values) = (k.slice(sequence.rows), v.slice(sequence.rows))
      if let lanes = sequence.lanes {
        context.storeKV(k: keys, v: values, layer: index, shape: shape, lanes: lanes, blocks: sequence.blocks)
      } else {
        context.storeKV(k: keys, v: values, layer: index, shape: shape, slots: Array(slots[sequence.rows]))
      }
    }
  }

  /// Bias, norm and rotation of queries.
  func finishQuery(_ q: Rows, _ index: Int, positions: [Int32]) {
    let layer = layers[index]
    if let bias = layer.queryBias { context.addBias(q, bias: bias.pointer) }
    if let weight = layer.queryNorm { headNorm(q, heads: description.heads, weight) }
    guard let rope = description.layerKinds[index].rope else { return }
    context.rope(
      q, heads: description.heads, headDim: description.headDim, positions: positions, table: ropes[rope])
  }

  /// Biases of keys and values, norm and rotation of keys.
  func finishKeyValue(_ k: Rows, _ v: Rows, _ index: Int, positions: [Int32]) {
    let layer = layers[index]
    if let bias = layer.keyBias { context.addBias(k, bias: bias.pointer) }
    if let bias = layer.valueBias { context.addBias(v, bias: bias.pointer) }
    if let weight = layer.keyNorm { headNorm(k, heads: description.kvHeads, weight) }
    guard let rope = description.layerKinds[index].rope else { return }
    context.rope(
      k, heads: description.kvHeads, headDim: description.headDim, positions: positions, table: ropes[rope])
  }

  func feedForward(_ index: Int, _ hidden: Rows, _ workspace: ForwardWorkspace) {
    let layer = layers[index]
    let normed = workspace.normed.view(rows: hidden.count)
    norm(hidden, layer.feedForwardNorm, into: normed)
    switch layer.feedForward {
    case .dense(let weights):
      let inner = gated(weights, normed, workspace)
      addPart(weights.down, inner, bias: weights.downBias, norm: layer.postFeedForwardNorm, to: hidden, workspace)
    case .experts(let mixture):
      let part = workspace.part.view(rows: hidden.count)
      runExperts(mixture, normed, into: part, workspace)
      addResidual(part, norm: layer.postFeedForwardNorm, to: hidden)
    }
  }

  /// `activation(gate x) * up x`, in the workspace.
  func gated(_ weights: FeedForwardWeights, _ x: Rows, _ workspace: ForwardWorkspace) -> Rows {
    let gate = workspace.gate.view(rows: x.count).columns(0..<weights.width)
    let up = workspace.up.view(rows: x.count).columns(0..<weights.width)
    context.multiply([weights.gate, weights.up], x, into: [gate, up])
    if let bias = weights.gateBias { context.addBias(gate, bias: bias.pointer) }
    if let bias = weights.upBias { context.addBias(up, bias: bias.pointer) }
    context.gate(gate, up, activation: description.activation, into: gate)
    return gate
  }

  /// Adds `norm(weights x + bias)` to the residual stream.
  func addPart(
    _ weights: WeightMatrix, _ x: Rows, bias: WeightVector?, norm: WeightVector?, to hidden: Rows,
    _ workspace: ForwardWorkspace
  ) {
    if norm == nil, description.residualScale == 1 {
      context.multiply(weights, x, into: hidden, accumulate: true)
      if let bias { context.addBias(hidden, bias: bias.pointer) }
      return
    }
    let part = workspace.part.view(rows: hidden.count)
    context.multiply(weights, x, into: part)
    if let bias { context.addBias(part, bias: bias.pointer) }
    addResidual(part, norm: norm, to: hidden)
  }

  private func addResidual(_ part: Rows, norm weight: WeightVector?, to hidden: Rows) {
    if let weight { norm(part, weight, into: part) }
    if description.residualScale != 1 { context.scale(part, by: description.residualScale) }
    context.add(part, into: hidden)
  }

  func norm(_ x: Rows, _ weight: WeightVector, into y: Rows) {
    context.rmsNorm(x, weight: weight.pointer, epsilon: description.normEpsilon, addOne: false, into: y)
  }

  private func headNorm(_ x: Rows, heads: Int, _ weight: WeightVector) {
    if description.normsWholeRow { return norm(x, weight, into: x) }
    context.headNorm(
      x, heads: heads, headDim: description.headDim, weight: weight.pointer, epsilon: description.normEpsilon,
      addOne: false)
  }

  /// Final norm and logits of the wanted rows.
  private func finish(_ plan: RowPlan, _ hidden: Rows, _ workspace: ForwardWorkspace) -> Rows {
    let count = plan.outputRows.count
    guard plan.layers.upperBound == description.layers else {
      precondition(count == 0 && !plan.wantHidden, "logits need a plan that ends with the last layer")
      return workspace.logits.view(rows: 0)
    }
    if plan.wantHidden {
      norm(hidden, outputNorm, into: workspace.normed.view(rows: hidden.count))
      workspace.finalRows = hidden.count
    }
    guard count > 0 else { return workspace.logits.view(rows: 0) }
    workspace.reserveLogits(count)
    let picked = workspace.outputHidden.view(rows: count)
    for (place, row) in plan.outputRows.enumerated() {
      picked.row(place).update(from: hidden.row(row), count: hidden.columns)
    }
    return logits(picked, workspace)
  }

  /// Final norm, in place, and logits.
  private func logits(_ picked: Rows, _ workspace: ForwardWorkspace) -> Rows {
    let logits = workspace.logits.view(rows: picked.count)
    guard picked.count > 0 else { return logits }
    norm(picked, outputNorm, into: picked)
    return project(picked, into: logits)
  }

  /// The logits of a row whose state was computed elsewhere, bit for bit those that were made of it there.
  ///
  /// - Parameters:
  ///   - state: a row of `ForwardWorkspace.outputStates`.
  ///   - workspace: gets the logits.
  /// - Returns: one row, valid until the workspace's next use.
  public func logits(ofState state: [Float], workspace: ForwardWorkspace) -> Rows {
    let row = workspace.outputHidden.view(rows: 1)
    precondition(state.count == row.columns, "a state of \(state.count) numbers for a width of \(row.columns)")
    for (column, value) in state.enumerated() { row.row(0)[column] = value }
    return project(row, into: workspace.logits.view(rows: 1))
  }

  private func project(_ picked: Rows, into logits: Rows) -> Rows {
    context.multiply(output, picked, into: logits)
    if description.logitScale != 1 { context.scale(logits, by: description.logitScale) }
    if description.logitSoftcap > 0 { context.softcap(logits, cap: description.logitSoftcap) }
    return logits
  }
}
