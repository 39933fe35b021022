// The filters after temperature, on the gathered candidates: typical, top-p, min-p, XTC.

import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension TokenChooser {
  /// Applies the filters in order; at least one candidate stays.
  ///
  /// - Parameter mass: what top-p is a fraction of if the candidates are only a part of the row; nil: their own mass.
  mutating func filter(_ mass: Double?, _ generator: inout SeededGenerator) {
    if parameters.typicalP < 1 { keepTypical() }
    if parameters.topP < 1 { keepNucleus(mass) }
    if parameters.minP > 0 { keepRatio() }
    if let xtc = parameters.xtc, xtc.probability > 0 { excludeTop(xtc, generator.unitDouble()) }
  }

  private func totalWeight() -> Double {
    var total = 0.0
    for candidate in candidates { total += Double(candidate.weight) }
    return total
  }

  /// The smallest set of tokens whose surprise is nearest to the entropy, with mass of at least `typicalP`.
  private mutating func keepTypical() {
    let total = totalWeight()
    let logTotal = log(total)
    // Surprise of a token is logTotal - logit; the entropy is its mean.
    var entropy = 0.0
    for candidate in candidates { entropy += Double(candidate.weight) / total * (logTotal - Double(candidate.logit)) }
    var keyed = candidates.map { Keyed(distance: abs(logTotal - Double($0.logit) - entropy), candidate: $0) }
    MassSelection.keep(
      Double(parameters.typicalP) * total, of: &keyed, weight: \.candidate.weight, isBetter: Keyed.isBetter)
    candidates.removeAll(keepingCapacity: true)
    for item in keyed { candidates.append(item.candidate) }
  }

  private struct Keyed {
    var distance: Double
    var candidate: Candidate

    static func isBetter(_ a: Keyed, _ b: Keyed) -> Bool {
      a.distance < b.distance || (a.distance == b.distance && Candidate.isBetter(a.candidate, b.candidate))
    }
  }

  private mutating func keepNucleus(_ mass: Double?) {
    let wanted = Double(parameters.topP) * (mass ?? totalWeight())
    MassSelection.keep(wanted, of: &candidates, weight: \.weight, isBetter: Candidate.isBetter)
  }

  private mutating func keepRatio() {
    guard let best = candidates.map(\.weight).max() else { return }
    let least = best * parameters.minP
    candidates.removeAll { $0.weight < least }
  }

  private mutating func excludeTop(_ xtc: XTCParameters, _ unit: Double) {
    guard unit < Double(xtc.probability) else { return }
    let least = Float(Double(xtc.threshold) * totalWeight())
    var kept: Candidate?
    var above = 0
    for candidate in candidates where candidate.weight >= least {
      above += 1
      if kept.map({ Candidate.isBetter($0, candidate) }) ?? true { kept = candidate }
    }
    guard above > 1, let kept else { return }
    candidates.removeAll { $0.weight >= least && $0.token != kept.token }
  }
}
