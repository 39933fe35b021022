// The value that every kernel call starts from.

/// Which kernels run and on which threads. All operations of this room are methods of it.
public struct KernelContext: Sendable {
  public let instructionSet: InstructionSet
  public let pool: WorkerPool

  /// - Precondition: the processor can run `instructionSet`.
  public init(instructionSet: InstructionSet = .best, pool: WorkerPool) {
    precondition(instructionSet.isAvailable, "this processor cannot run the \(instructionSet.rawValue) kernels")
    self.instructionSet = instructionSet
    self.pool = pool
  }
}
