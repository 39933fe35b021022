// Pins: a prefix that may not be evicted before a deadline.

public import WeirBasics

/// Names a lease on cached blocks.
public struct LeaseID: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

struct Lease: Sendable {
  var blocks: [BlockID]
  var deadline: Instant
}

extension BlockPool {
  /// Most blocks that all leases together may hold.
  public var leaseBlockLimit: Int { Int(Double(totalBlocks) * configuration.leaseShareLimit) }

  /// Pins the cached prefix of `tokens` until a deadline: its whole blocks, from the start, as far as they are cached
  /// and as the budget for leases reaches. The deadline is cut to the longest lease of the configuration; afterwards
  /// the blocks are ordinary cached blocks again.
  ///
  /// - Returns: the lease and the tokens it covers, nil if it would cover nothing.
  public func pin(_ tokens: [TokenID], salt: String = "", until deadline: Instant) -> (lease: LeaseID, tokens: Int)? {
    endExpiredLeases()
    let latest = clock.now().advanced(bySeconds: configuration.leaseSecondsLimit)
    let end = min(deadline, latest)
    guard end > clock.now() else { return nil }
    let cached = tree.walk(tokens, salt: salt, limit: tokens.count).blocks
    var covered: [BlockID] = []
    var left = leaseBlockLimit - leasedBlockCount
    for block in cached {
      if leaseHolders[block.index] == 0 {
        guard left > 0 else { break }
        left -= 1
      }
      covered.append(block)
    }
    guard !covered.isEmpty else { return nil }
    for block in covered {
      if leaseHolders[block.index] == 0 { leasedBlockCount += 1 }
      leaseHolders[block.index] += 1
      retain(block)
    }
    let lease = LeaseID(rawValue: nextLeaseID)
    nextLeaseID += 1
    leases[lease] = Lease(blocks: covered, deadline: end)
    // Kept in descending order, so that the next one to end is the last.
    var low = 0
    var high = leaseDeadlines.count
    while low < high {
      let middle = (low + high) / 2
      if leaseDeadlines[middle].deadline > end { low = middle + 1 } else { high = middle }
    }
    leaseDeadlines.insert((end, lease), at: low)
    didMutate()
    return (lease, covered.count * shape.blockSlots)
  }

  /// Ends a lease early. A lease that has ended already is ignored.
  public func release(_ lease: LeaseID) {
    endLease(lease)
    didMutate()
  }

  func endLease(_ id: LeaseID) {
    guard let lease = leases.removeValue(forKey: id) else { return }
    leaseDeadlines.removeAll { $0.lease == id }
    for block in lease.blocks.reversed() {
      leaseHolders[block.index] -= 1
      if leaseHolders[block.index] == 0 { leasedBlockCount -= 1 }
      records[block.index].leaseDeadline = lease.deadline
      release(block)
    }
  }

  /// Ends the leases whose deadline has passed. One comparison when there are none.
  func endExpiredLeases() {
    guard let last = leaseDeadlines.last, last.deadline <= clock.now() else { return }
    let now = clock.now()
    while let next = leaseDeadlines.last, next.deadline <= now { endLease(next.lease) }
  }
}
