// How many calls does a request need after hours of coming and going? Pure: allocators and lengths, no bytes.

import WeirBasics
import WeirKVCache

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Two nodes whose pools are kept at one occupancy by requests of BurstGPT-like lengths, and the co-runs that handing
/// each request over takes (FlowKV's digest, "contiguity under churn").
///
/// The sender allocates a prompt at once and keeps it until its pool is that full again (a prefix cache, oldest out).
/// The receiver allocates the prompt when it is handed over, then grows it block by block, all running requests in
/// turn, until its answer is done; that growth is what breaks up a receiver.
public struct ChurnStudy: Sendable {
  /// How blocks are chosen.
  public enum Allocator: String, Sendable, CaseIterable {
    /// The last freed block first, as most servers do.
    case freeList = "free_list"
    case segments
    /// The receiver knows the lengths of the sender's runs.
    case segmentsWithHints = "segments_hints"
  }

  /// What was seen.
  public struct Result: Sendable, Equatable {
    public var allocator: Allocator
    public var occupancy: Double
    public var requests: Int
    public var meanBlocks: Double
    public var meanRuns: Double
    public var medianRuns: Int
    public var p90Runs: Int
    public var p99Runs: Int
    public var mostRuns: Int
  }

  public var blockLimit = 8192
  public var blockSlots = 16
  /// Requests that are handed over and counted, after as many that only fill the pools.
  public var requests = 4000
  /// Prompt tokens: median of a log-normal law, its sigma, and the range it is cut to.
  public var promptTokens = (median: 600.0, sigma: 1.2, range: 16...4096)
  public var answerTokens = (median: 200.0, sigma: 0.9, range: 1...1024)

  public init() {}

  /// Runs one allocator at one occupancy (`0..<1`). The same seed gives every allocator the same requests.
  public func run(_ allocator: Allocator, occupancy: Double, seed: UInt64) -> Result {
    var random = SeededGenerator(seed: seed)
    var sender = ChurnPool(allocator, blockLimit: blockLimit)
    var receiver = ChurnPool(allocator, blockLimit: blockLimit)
    let target = Int(occupancy * Double(blockLimit))
    var kept: [[BlockID]] = []
    var oldest = 0
    var running: [(blocks: [BlockID], left: Int)] = []
    var runs: [Int] = []
    var blocks = 0
    for number in 0..<(2 * requests) {
      let prompt = count(promptTokens, &random)
      let answer = count(answerTokens, &random)
      while sender.used + prompt > target, oldest < kept.count {
        sender.release(kept[oldest])
        kept[oldest] = []
        oldest += 1
      }
      guard let source = sender.allocate(prompt, hints: []) else { continue }
      kept.append(source)
      grow(&running, &receiver, until: target - prompt, &random)
      guard let goal = receiver.allocate(prompt, hints: TransferPlan.runLengths(source)) else { continue }
      running.append((goal, answer))
      guard number >= requests else { continue }
      runs.append(TransferPlan.plan(source: source, destination: goal).count)
      blocks += prompt
    }
    runs.sort()
    func quantile(_ share: Double) -> Int {
      runs.isEmpty ? 0 : runs[min(runs.count - 1, Int((Double(runs.count) * share).rounded(.up)) - 1)]
    }
    let count = Double(max(1, runs.count))
    return Result(
      allocator: allocator, occupancy: occupancy, requests: runs.count, meanBlocks: Double(blocks) / count,
      meanRuns: Double(runs.reduce(0, +)) / count, medianRuns: quantile(0.5), p90Runs: quantile(0.9),
      p99Runs: quantile(0.99), mostRuns: runs.last ?? 0)
  }

  /// Decodes all running requests in turn, a block each, until a new one fits. Done ones leave.
  private func grow(
    _ running: inout [(blocks: [BlockID], left: Int)], _ receiver: inout ChurnPool, until limit: Int,
    _ random: inout SeededGenerator
  ) {
    var turns = 0
    // A few turns pass between two arrivals anyway; then until there is room.
    while !running.isEmpty, turns < 2 || receiver.used > limit {
      turns += 1
      for index in running.indices.reversed() {
        if running[index].left == 0 {
          receiver.release(running.remove(at: index).blocks)
        } else if let more = receiver.allocate(1, after: running[index].blocks.last, hints: []) {
          running[index].blocks += more
          running[index].left -= 1
        } else {
          // No block at all: the newest request is preempted, as a server would.
          receiver.release(running.removeLast().blocks)
          break
        }
      }
    }
  }

  private func count(
    _ law: (median: Double, sigma: Double, range: ClosedRange<Int>), _ random: inout SeededGenerator
  ) -> Int {
    let tokens = law.median * exp(law.sigma * random.normalDouble())
    let cut = min(max(tokens, Double(law.range.lowerBound)), Double(law.range.upperBound))
    return (Int(cut) + blockSlots - 1) / blockSlots
  }
}

/// One node's free blocks under one of the allocators.
private struct ChurnPool {
  private let kind: ChurnStudy.Allocator
  private var segments: SegmentAllocator
  private var stack: [BlockID]
  private let blockLimit: Int

  init(_ kind: ChurnStudy.Allocator, blockLimit: Int) {
    self.kind = kind
    self.blockLimit = blockLimit
    segments = SegmentAllocator(blockLimit: blockLimit)
    stack = kind == .freeList ? (0..<blockLimit).reversed().map { BlockID($0) } : []
  }

  var used: Int { blockLimit - (kind == .freeList ? stack.count : segments.freeBlocks) }

  mutating func allocate(_ count: Int, after last: BlockID? = nil, hints: [Int]) -> [BlockID]? {
    guard kind != .freeList else {
      guard count <= stack.count else { return nil }
      defer { stack.removeLast(count) }
      return stack.suffix(count).reversed()
    }
    let allocation =
      kind == .segmentsWithHints && !hints.isEmpty
      ? segments.allocate(count: count, runLengths: hints, growth: 4)
      : segments.allocate(count: count, after: last, growth: last == nil ? 4 : 0)
    guard case .allocated(let blocks) = allocation else { return nil }
    return blocks
  }

  mutating func release(_ blocks: [BlockID]) {
    if kind == .freeList { stack += blocks.reversed() } else { segments.release(blocks) }
  }
}
