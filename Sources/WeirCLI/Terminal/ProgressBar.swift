// Progress on standard error: a bar on a terminal, a few plain lines otherwise.

import Foundation
import Synchronization

/// Shows the share of a job that is done. Any thread may update it.
final class ProgressBar: Sendable {
  private let label: String
  private let isQuiet: Bool
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let shown = Mutex<Int>(-1)

  init(label: String, isQuiet: Bool = false) {
    self.label = label
    self.isQuiet = isQuiet
  }

  func update(_ share: Double) {
    guard !isQuiet else { return }
    let percent = Int((min(max(share, 0), 1) * 100).rounded(.down))
    let step = isTerminal ? 1 : 25
    let isNew = shown.withLock { last in
      guard percent / step > last / step || last < 0 else { return false }
      last = percent
      return true
    }
    guard isNew else { return }
    if isTerminal {
      let filled = String(repeating: "#", count: percent * 30 / 100)
      let empty = String(repeating: ".", count: 30 - percent * 30 / 100)
      Terminal.writeError("\r\(label) [\(filled)\(empty)] \(percent) %")
    } else {
      Terminal.writeError("\(label): \(percent) %\n")
    }
  }

  func finish() {
    guard !isQuiet, isTerminal else { return }
    Terminal.writeError("\r\u{1B}[K")
  }
}

enum Terminal {
  static func writeError(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
  static func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }

  /// 1536 -> "1.5 KiB".
  static func bytes(_ count: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(count)
    var unit = 0
    while value >= 1024 && unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
  }
}
