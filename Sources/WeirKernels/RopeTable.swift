internal import Glibc
internal import Synchronization

// Cosines and sines of the rotary embedding, computed once per position.

/// The rotations of a rotary position embedding. Copies share what has been computed.
public struct RopeTable: Sendable {
  /// Which elements of a head are rotated together.
  public enum Layout: Sendable, Hashable {
    /// Pairs (2i, 2i + 1), as GGUF files of the llama family are stored.
    case interleaved
    /// Pairs (i, i + rotaryDim / 2), as Hugging Face and NeoX have it.
    case halves
  }

  /// Rotated elements of a head; the others stay as they are.
  public let rotaryDim: Int
  public let layout: Layout
  /// Angle per position, `rotaryDim / 2` values.
  public let inverseFrequencies: [Float]
  /// Factor of cosines and sines (YaRN); usually 1.
  public let attentionFactor: Float
  private let pages: RopePages

  /// - Precondition: `rotaryDim` is even and there are `rotaryDim / 2` frequencies.
  public init(rotaryDim: Int, layout: Layout, inverseFrequencies: [Float], attentionFactor: Float) {
    precondition(
      rotaryDim >= 0 && rotaryDim % 2 == 0 && inverseFrequencies.count == rotaryDim / 2,
      "\(rotaryDim) rotary dimensions need half as many frequencies, got \(inverseFrequencies.count)")
    self.rotaryDim = rotaryDim
    self.layout = layout
    self.inverseFrequencies = inverseFrequencies
    self.attentionFactor = attentionFactor
    pages = RopePages()
  }

  /// For every position where its cosines and sines are.
  func rotations(_ positions: [Int32]) -> [Rotation] {
    pages.lookUp(positions, inverseFrequencies, factor: attentionFactor)
  }
}

/// The cosines and sines of one position: `rotaryDim / 2` cosines from `offset` on, then as many sines.
struct Rotation {
  fileprivate let page: RopePage
  fileprivate let offset: Int

  func withValues(_ body: (UnsafePointer<Float>) -> Void) {
    page.values.withUnsafeBufferPointer { values in
      if let base = values.baseAddress { body(base + offset) }
    }
  }
}

/// Pages of positions, filled when first asked for and never dropped: `2 * 4` bytes per frequency and position.
private final class RopePages: Sendable {
  private let known = Mutex<[Int: RopePage]>([:])

  func lookUp(_ positions: [Int32], _ frequencies: [Float], factor: Float) -> [Rotation] {
    known.withLock { known in
      var index = -1
      var page: RopePage?
      return positions.map { position in
        precondition(position >= 0, "positions start at 0, got \(position)")
        let wanted = Int(position) / RopePage.positions
        if wanted != index || page == nil {
          page = known[wanted] ?? RopePage(index: wanted, frequencies, factor: factor)
          known[wanted] = page
          index = wanted
        }
        guard let page else { preconditionFailure("a page was just looked up") }
        return Rotation(page: page, offset: (Int(position) % RopePage.positions) * 2 * frequencies.count)
      }
    }
  }
}

/// Cosines and sines of `positions` consecutive positions.
private final class RopePage: Sendable {
  static let positions = 256
  let values: [Float]

  init(index: Int, _ frequencies: [Float], factor: Float) {
    let pairs = frequencies.count
    values = .init(unsafeUninitializedCapacity: RopePage.positions * 2 * pairs) { values, count in
      for position in 0..<RopePage.positions {
        let row = position * 2 * pairs
        for pair in 0..<pairs {
          // In double precision: an angle of thousands of radians has lost three digits in single precision.
          let angle = Double(index * RopePage.positions + position) * Double(frequencies[pair])
          values.initializeElement(at: row + pair, to: Float(cos(angle)) * factor)
          values.initializeElement(at: row + pairs + pair, to: Float(sin(angle)) * factor)
        }
      }
      count = RopePage.positions * 2 * pairs
    }
  }
}
