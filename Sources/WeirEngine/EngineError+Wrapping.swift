// Errors of lower rooms as a door sees them.

import WeirBasics
import WeirSampling
import WeirScheduling

extension EngineError.Kind {
  /// The engine was started with values that cannot work.
  public static let invalidConfiguration = EngineError.Kind(rawValue: "invalid_configuration")
  /// The caller gave the request up.
  public static let cancelled = EngineError.Kind(rawValue: "cancelled")
}

extension EngineError {
  /// Gives an error of a lower room its place in the API: what the client did wrong stays the client's.
  init(wrapping error: any Error) {
    switch error {
    case let error as EngineError: self = error
    case let error as SchedulingError:
      switch error {
      case .queueFull: self.init(.queueFull, message: error.message, retryAfterSeconds: 1)
      case .emptyPrompt: self.init(.invalidRequest, message: error.message, param: "prompt")
      case .promptTooLong: self.init(.contextLengthExceeded, message: error.message, param: "prompt")
      case .poolTooSmall: self.init(.insufficientKV, message: error.message)
      case .outOfRange: self.init(.invalidConfiguration, message: error.message)
      }
    case let error as SamplingError: self.init(.invalidRequest, message: error.message)
    case let error as any WeirError: self.init(.internalError, message: error.message)
    default: self.init(.internalError, message: "\(error)")
    }
  }
}
