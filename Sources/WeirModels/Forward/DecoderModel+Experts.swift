// Mixtures of experts: rows are sorted by expert, so that each expert is one multiplication.

import WeirKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension DecoderModel {
  /// `out = sum of the chosen experts' weighted outputs (+ the shared expert's)`.
  ///
  /// Each row adds its experts in ascending order of expert, so the result does not depend on the batch.
  func runExperts(_ mixture: ExpertWeights, _ x: Rows, into out: Rows, _ workspace: ForwardWorkspace) {
    guard let scratch = workspace.experts, let experts = description.experts else {
      preconditionFailure("a mixture without experts in the description")
    }
    let scores = scratch.scores.view(rows: x.count)
    context.multiply(mixture.router, x, into: scores)
    for row in 0..<x.count { scratch.choose(row, scores.row(row), experts) }
    scratch.sort(rows: x.count, experts)
    for slot in 0..<(x.count * experts.used) {
      scratch.input.rows.row(scratch.places[slot]).update(from: x.row(slot / experts.used), count: x.columns)
    }
    for expert in 0..<experts.count {
      let range = scratch.starts[expert]..<scratch.starts[expert + 1]
      if range.isEmpty { continue }
      let weights = mixture.experts[expert]
      let (gate, up) = (scratch.gate.rows.slice(range), scratch.up.rows.slice(range))
      context.multiply([weights.gate, weights.up], scratch.input.rows.slice(range), into: [gate, up])
      context.gate(gate, up, activation: description.activation, into: gate)
      context.multiply(weights.down, gate, into: scratch.output.rows.slice(range))
    }
    for row in 0..<x.count { scratch.gather(row, into: out.row(row), width: out.columns, used: experts.used) }
    addShared(mixture, x, to: out, scratch, workspace)
  }

  private func addShared(
    _ mixture: ExpertWeights, _ x: Rows, to out: Rows, _ scratch: ExpertScratch, _ workspace: ForwardWorkspace
  ) {
    guard let shared = mixture.shared else { return }
    let inner = gated(shared, x, workspace)
    // The experts' sorted outputs are no longer needed: their memory takes the shared output.
    let part = scratch.output.view(rows: x.count)
    context.multiply(shared.down, inner, into: part)
    if let router = mixture.sharedRouter {
      let score = scratch.sharedScore.view(rows: x.count)
      context.multiply(router, x, into: score)
      for row in 0..<x.count {
        let weight = 1 / (1 + expf(-score.row(row)[0]))
        let values = part.row(row)
        for column in 0..<part.columns { values[column] *= weight }
      }
    }
    context.add(part, into: out)
  }
}

extension ExpertScratch {
  /// Softmax over all experts, then the largest `used` of them; equal scores: the lower expert.
  func choose(_ row: Int, _ scores: UnsafeMutablePointer<Float>, _ experts: ExpertDescription) {
    let count = experts.count
    var largest = -Float.infinity
    for expert in 0..<count { largest = max(largest, scores[expert]) }
    var total: Float = 0
    for expert in 0..<count {
      scores[expert] = expf(scores[expert] - largest)
      total += scores[expert]
    }
    let first = row * experts.used
    for place in 0..<experts.used {
      var best = -1
      for expert in 0..<count where scores[expert] >= 0 && (best < 0 || scores[expert] > scores[best]) { best = expert }
      // Only NaN scores leave nothing to choose; any expert is as wrong as another.
      let expert = max(best, 0)
      chosen[first + place] = expert
      weights[first + place] = scores[expert] / total
      scores[expert] = -1
    }
    orderByExpert(first..<(first + experts.used))
    guard experts.normalisesWeights else { return }
    var sum: Float = 0
    for slot in first..<(first + experts.used) { sum += weights[slot] }
    for slot in first..<(first + experts.used) { weights[slot] /= sum }
  }

  private func orderByExpert(_ slots: Range<Int>) {
    for end in slots.dropFirst() {
      var place = end
      while place > slots.lowerBound, chosen[place - 1] > chosen[place] {
        chosen.swapAt(place - 1, place)
        weights.swapAt(place - 1, place)
        place -= 1
      }
    }
  }

  /// Counting sort of all (row, expert) pairs by expert; rows stay in order inside an expert.
  func sort(rows: Int, _ experts: ExpertDescription) {
    for expert in starts.indices { starts[expert] = 0 }
    let slots = rows * experts.used
    for slot in 0..<slots { starts[chosen[slot] + 1] += 1 }
    for expert in 0..<experts.count {
      starts[expert + 1] += starts[expert]
      cursors[expert] = starts[expert]
    }
    for slot in 0..<slots {
      let expert = chosen[slot]
      places[slot] = cursors[expert]
      cursors[expert] += 1
    }
  }

  /// The weighted sum of one row's experts.
  func gather(_ row: Int, into out: UnsafeMutablePointer<Float>, width: Int, used: Int) {
    for column in 0..<width { out[column] = 0 }
    for slot in (row * used)..<((row + 1) * used) {
      let source = output.rows.row(places[slot])
      let weight = weights[slot]
      for column in 0..<width { out[column] += weight * source[column] }
    }
  }
}
