// Rotary position embedding: from what files say to one frequency per pair.

import WeirBasics
public import WeirKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One rotation: its base frequencies and how they were stretched to a longer context.
public struct RopeDescription: Sendable, Equatable {
  /// Leading elements of a head that are rotated.
  public var rotaryDim: Int
  public var theta: Double
  public var layout: RopeTable.Layout
  public var scaling: RopeScaling = .none

  /// The kernel's table for this rotation.
  public func table() -> RopeTable {
    let (frequencies, factor) = frequencies()
    return RopeTable(
      rotaryDim: rotaryDim, layout: layout, inverseFrequencies: frequencies.map(Float.init),
      attentionFactor: Float(factor))
  }

  /// Radians per position of each pair, and the factor on cosine and sine.
  func frequencies() -> ([Double], Double) {
    let plain = (0..<(rotaryDim / 2)).map { pow(theta, -Double(2 * $0) / Double(rotaryDim)) }
    switch scaling {
    case .none: return (plain, 1)
    case .linear(let factor): return (plain.map { $0 / factor }, 1)
    case .divisors(let divisors, let attentionFactor):
      return (zip(plain, divisors).map { $0 / $1 }, attentionFactor)
    case .llama3(let factor, let low, let high, let original):
      return (plain.map { Self.llama3($0, factor: factor, low: low, high: high, original: original) }, 1)
    case .yarn(let yarn): return (yarn.frequencies(plain, rotaryDim: rotaryDim, theta: theta), yarn.attentionFactor)
    }
  }

  /// Llama 3.1's rule: long waves are stretched, short ones kept, and those between blended.
  private static func llama3(_ f: Double, factor: Double, low: Double, high: Double, original: Double) -> Double {
    let turns = original * f / (2 * Double.pi)
    if turns < low { return f / factor }
    if turns > high { return f }
    let blend = (turns - low) / (high - low)
    return (1 - blend) * f / factor + blend * f
  }
}

/// How the frequencies differ from the plain ones.
public enum RopeScaling: Sendable, Equatable {
  case none
  /// Positions are divided by a factor.
  case linear(factor: Double)
  case llama3(factor: Double, low: Double, high: Double, original: Double)
  case yarn(YaRN)
  /// Each pair's frequency is divided by its own number (LongRoPE; GGUF's stored factors).
  case divisors([Double], attentionFactor: Double)
}

/// YaRN (Peng et al. 2023): blends plain and stretched frequencies by how often a wave turns in the original context.
public struct YaRN: Sendable, Equatable {
  public var factor: Double
  public var original: Double
  public var betaFast = 32.0
  public var betaSlow = 1.0
  /// Factor on cosine and sine.
  public var attentionFactor: Double
  /// The ends of the ramp are rounded outwards to whole pairs.
  public var truncates = true

  /// The paper's temperature: `0.1 scale ln(factor) + 1`.
  static func temperature(_ factor: Double, _ scale: Double = 1) -> Double {
    factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1
  }

  func frequencies(_ plain: [Double], rotaryDim: Int, theta: Double) -> [Double] {
    func pair(turns: Double) -> Double {
      Double(rotaryDim) * log(original / (turns * 2 * Double.pi)) / (2 * log(theta))
    }
    var low = pair(turns: betaFast)
    var high = pair(turns: betaSlow)
    if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
    low = max(low, 0)
    high = min(high, Double(rotaryDim - 1))
    if low == high { high += 0.001 }
    return plain.enumerated().map { index, f in
      let stretched = min(max((Double(index) - low) / (high - low), 0), 1)
      return f / factor * stretched + f * (1 - stretched)
    }
  }
}
