public import WeirBasics

// The one error type of this room.

/// A weight or an option that the kernels cannot work with.
public struct KernelError: WeirError, Hashable {
  public let code: String
  public let message: String

  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}
