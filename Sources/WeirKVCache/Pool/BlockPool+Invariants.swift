// What must hold in the pool after every call.

import WeirBasics

extension BlockPool {
  /// Everything that must hold; each finding is one sentence, none means sound. O(blocks).
  ///
  /// With the list of open tables the references are compared one by one; without it only their sum.
  public func checkInvariants(openTables: [BlockTable]? = nil) -> [String] {
    var findings = allocator.checkInvariants() + tree.checkInvariants() + queue.checkInvariants()
    checkStates(&findings)
    checkLeases(&findings)
    var tables = openTables?.map(\.blocks)
    #if WEIR_CHECKS
      tables = tables ?? Array(tableMirror.values)
    #endif
    if let tables { checkTables(tables, &findings) }
    return findings
  }

  /// Every block is in exactly one state, and the counts add up.
  private func checkStates(_ findings: inout [String]) {
    var used = 0
    var references = 0
    for index in 0..<totalBlocks {
      let block = BlockID(index)
      let isFree = allocator.isFree(block)
      let isHeld = holders[index] > 0
      let isVertex = tree.contains(block)
      used += isHeld ? 1 : 0
      references += Int(holders[index])
      if isFree, isHeld || isVertex { findings.append("\(block) is free and in use") }
      if !isFree, !isHeld, !isVertex { findings.append("\(block) is lost: neither free, nor used, nor cached") }
      let isEvictable = isVertex && !isHeld && tree.isLeaf(block)
      if queue.contains(block) != isEvictable {
        findings.append("\(block) is \(isEvictable ? "missing from" : "wrongly in") the eviction queue")
      }
      if isVertex, isHeld, let parent = tree.vertex(block)?.parent, holders[parent.index] == 0 {
        findings.append("\(block) is used but its parent \(parent) is not")
      }
    }
    if used != usedBlockCount { findings.append("\(used) blocks are used, \(usedBlockCount) are counted") }
    if references != tableReferences + leases.values.reduce(0, { $0 + $1.blocks.count }) {
      findings.append("\(references) references are held, tables account for \(tableReferences)")
    }
    if freeBlocks + cachedBlocks + usedBlockCount != totalBlocks { findings.append("block counts do not add up") }
  }

  private func checkLeases(_ findings: inout [String]) {
    var counts = Array(repeating: UInt32(0), count: totalBlocks)
    for lease in leases.values { for block in lease.blocks { counts[block.index] += 1 } }
    if counts != leaseHolders { findings.append("lease references are miscounted") }
    let leased = counts.reduce(0) { $0 + ($1 > 0 ? 1 : 0) }
    if leased != leasedBlockCount { findings.append("\(leased) blocks are leased, \(leasedBlockCount) are counted") }
    if leased > leaseBlockLimit { findings.append("leases hold \(leased) blocks, their limit is \(leaseBlockLimit)") }
    if Set(leaseDeadlines.map(\.lease)) != Set(leases.keys) || leaseDeadlines.count != leases.count {
      findings.append("lease deadlines and leases differ")
    }
  }

  private func checkTables(_ tables: [[BlockID]], _ findings: inout [String]) {
    var counts = leaseHolders
    for blocks in tables { for block in blocks { counts[block.index] += 1 } }
    for index in counts.indices where counts[index] != holders[index] {
      findings.append("\(BlockID(index)) has \(holders[index]) references, tables and leases hold \(counts[index])")
    }
    if tables.count != openTableCount { findings.append("\(tables.count) tables are open, \(openTableCount) counted") }
  }
}
