// The cluster on a terminal: a table that is drawn again in its place; elsewhere a line when something changes.

import Foundation
import Synchronization
import WeirBasics
import WeirCluster
import WeirServing

final class ClusterTable: Sendable {
  private struct Shown {
    var lines = 0
    var states: [String: String] = [:]
  }

  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let shown = Mutex(Shown())

  /// Shows the cluster as it is now.
  ///
  /// - Parameters:
  ///   - nodes: as the router knows them.
  ///   - counts: the router's.
  ///   - alive: by name, whether the node's process runs.
  func show(_ nodes: [RouterNodeView], _ counts: RouterCounts, alive: [(name: String, isRunning: Bool)]) {
    let text = shown.withLock { shown in
      isTerminal ? drawn(nodes, counts, &shown) : changes(nodes, alive, &shown)
    }
    if !text.isEmpty { Terminal.writeError(text) }
  }

  private func drawn(_ nodes: [RouterNodeView], _ counts: RouterCounts, _ shown: inout Shown) -> String {
    var rows = [["node", "role", "state", "run", "wait", "arriving", "held", "KV used", "cached", "tok/s", "placed"]]
    for node in nodes { rows.append(Self.row(node)) }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var lines = rows.map { row in
      zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
    }
    lines.append(
      "handed over \(counts.disaggregated), on one node \(counts.colocated), retried \(counts.retries), "
        + "failed \(counts.failed)")
    let back = shown.lines > 0 ? "\u{1B}[\(shown.lines)A" : ""
    shown.lines = lines.count
    return back + lines.map { "\u{1B}[2K\($0)\n" }.joined()
  }

  private static func row(_ node: RouterNodeView) -> [String] {
    guard let facts = node.facts else { return [node.url, "-", "unknown"] + Array(repeating: "-", count: 8) }
    let queues = facts.report.queues
    let used = queues.totalBlocks == 0 ? 0 : Int(queues.kvUsage * 100)
    let speed = facts.report.speeds.decodeTokens.map { "\(Int($0.perSecond))" } ?? "-"
    return [
      facts.id.rawValue,
      facts.role == facts.description.homeRole
        ? facts.role.rawValue : "\(facts.role.rawValue) (\(facts.description.homeRole.rawValue))",
      facts.isAlive ? facts.isOpen ? "up" : "draining" : "down",
      "\(queues.runningSequences)", "\(queues.waitingRequests)", "\(facts.report.waitingDecodes)",
      "\(facts.report.sendingRequests)", "\(used) %", "\(queues.cachedBlocks)", speed, "\(node.placed)",
    ]
  }

  private func changes(
    _ nodes: [RouterNodeView], _ alive: [(name: String, isRunning: Bool)], _ shown: inout Shown
  ) -> String {
    var text = ""
    func note(_ name: String, _ state: String) {
      guard shown.states[name] != state else { return }
      shown.states[name] = state
      text += "node        \(name) \(state)\n"
    }
    for node in nodes {
      guard let facts = node.facts else { continue }
      note(facts.id.rawValue, facts.isAlive ? "is up at \(node.url)" : "is down")
      if facts.role != facts.description.homeRole || shown.states["\(facts.id)'s role"] != nil {
        note("\(facts.id)'s role", "is \(facts.role.rawValue)")
      }
    }
    for (name, isRunning) in alive where !isRunning { note("\(name)'s process", "has ended") }
    return text
  }
}
