// Blocking calls must not take the threads that async code runs on.

import Foundation

/// Runs closures on threads that may block.
public enum BlockingThread {
  /// A new thread each time: dispatch queues share their threads with Swift's tasks here, and would starve them.
  public static func run(_ work: @escaping @Sendable () -> Void) { Thread.detachNewThread(work) }
}
