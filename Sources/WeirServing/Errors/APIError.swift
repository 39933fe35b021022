// Every way a request can fail, with the status, type and code that the field's clients expect.

import HTTPTypes
public import WeirBasics
import WeirEngine

/// What a client is told when its request fails.
public struct APIError: WeirError, Equatable {
  /// HTTP status.
  public var status: Int
  /// OpenAI's class of errors, for example `invalid_request_error`.
  public var type: String
  /// The machine-readable word, for example `context_length_exceeded`.
  public var code: String
  public var message: String
  /// The request field that was wrong, for example `messages[2].content`.
  public var param: String?
  public var retryAfterSeconds: Double?

  public init(
    status: Int, type: String, code: String, message: String, param: String? = nil, retryAfterSeconds: Double? = nil
  ) {
    self.status = status
    self.type = type
    self.code = code
    self.message = message
    self.param = param
    self.retryAfterSeconds = retryAfterSeconds
  }
}

extension APIError {
  static func invalid(_ param: String?, _ message: String, code: String = "invalid_value") -> APIError {
    APIError(status: 400, type: "invalid_request_error", code: code, message: message, param: param)
  }

  static func wrongType(_ param: String, wanted: String, got: JSONValue) -> APIError {
    .invalid(param, "\(param) must be \(wanted), got \(got.kindName)", code: "invalid_type")
  }

  static func missing(_ param: String, _ hint: String) -> APIError {
    .invalid(param, "\(param) is missing: \(hint)", code: "missing_required_parameter")
  }

  static func unsupported(_ param: String, _ message: String) -> APIError {
    .invalid(param, message, code: "unsupported_parameter")
  }

  static func contextLength(limit: Int, prompt: Int, answer: Int?, param: String) -> APIError {
    let asked = answer.map { " and \($0) more were asked for" } ?? ""
    return .invalid(
      param,
      "This model's maximum context length is \(limit) tokens. The prompt has \(prompt) tokens\(asked). "
        + "Shorten the prompt or ask for fewer tokens.", code: "context_length_exceeded")
  }

  static func notFound(_ message: String, code: String = "not_found", param: String? = nil) -> APIError {
    APIError(status: 404, type: "not_found_error", code: code, message: message, param: param)
  }

  static func modelNotFound(_ name: String, serving: String) -> APIError {
    .notFound(
      "The model `\(name)` does not exist here; this server has `\(serving)`.", code: "model_not_found",
      param: "model")
  }

  static let unauthorised = APIError(
    status: 401, type: "authentication_error", code: "invalid_api_key",
    message: "A valid API key is needed: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`.")

  static let forbidden = APIError(
    status: 403, type: "permission_error", code: "admin_key_required",
    message: "This route needs the server's admin key.")

  static func bodyTooLarge(limit: Int) -> APIError {
    APIError(
      status: 413, type: "invalid_request_error", code: "request_too_large",
      message: "The request body is larger than \(limit) bytes.")
  }

  static let bodyTimeout = APIError(
    status: 408, type: "invalid_request_error", code: "request_timeout",
    message: "The request body did not arrive in time.")

  static func unavailable(_ message: String, code: String, retryAfter: Double) -> APIError {
    APIError(
      status: 503, type: "service_unavailable_error", code: code, message: message, retryAfterSeconds: retryAfter)
  }

  static let clientGone = APIError(
    status: 499, type: "invalid_request_error", code: "request_cancelled",
    message: "The request was cancelled before its answer was ready.")

  static func notSupportedHere(_ message: String) -> APIError {
    APIError(status: 501, type: "not_implemented_error", code: "not_implemented", message: message)
  }

  static let internalFailure = APIError(
    status: 500, type: "server_error", code: "internal_error", message: "The server failed to answer this request.")
}

extension APIError {
  /// Translates what lower rooms throw; unknown errors become 500 without their text, which may hold private data.
  static func from(_ error: any Error, retryAfter: Double) -> APIError {
    switch error {
    case let error as APIError: return error
    case let error as EngineError: return from(error, retryAfter: retryAfter)
    case let error as JSONError:
      return .invalid(nil, "The body is not valid JSON: \(error.message)", code: "invalid_json")
    case is CancellationError: return .clientGone
    case let error as any WeirError: return .invalid(nil, error.message, code: error.code)
    default: return .internalFailure
    }
  }

  private static func from(_ error: EngineError, retryAfter: Double) -> APIError {
    switch error.kind {
    case .contextLengthExceeded, .invalidRequest, .insufficientKV:
      return .invalid(error.param, error.message, code: error.code)
    case .queueFull, .draining:
      return .unavailable(error.message, code: error.code, retryAfter: error.retryAfterSeconds ?? retryAfter)
    default:
      return APIError(status: 500, type: "server_error", code: error.code, message: error.message, param: error.param)
    }
  }
}
