// The two error bodies: OpenAI's and Anthropic's.

import HTTPTypes
import Hummingbird
import WeirBasics

/// Whose conventions a route follows.
enum APIFamily: Sendable {
  case openAI
  case anthropic

  init(path: String) {
    self = path == "/v1/messages" || path.hasPrefix("/v1/messages/") ? .anthropic : .openAI
  }
}

extension APIError {
  /// `{"error": {message, type, param, code}}`, or Anthropic's `{"type": "error", "error": {type, message}}`.
  func body(_ family: APIFamily, requestID: String?) -> JSONValue {
    switch family {
    case .openAI:
      return [
        "error": [
          "message": .string(message), "type": .string(type), "param": param.map(JSONValue.string) ?? .null,
          "code": .string(code),
        ]
      ]
    case .anthropic:
      var body: JSONObject = [
        "type": "error",
        "error": ["type": .string(anthropicType), "message": .string(message)],
      ]
      if let requestID { body["request_id"] = .string(requestID) }
      return .object(body)
    }
  }

  private var anthropicType: String {
    switch status {
    case 401: "authentication_error"
    case 403: "permission_error"
    case 404: "not_found_error"
    case 413: "request_too_large"
    case 429: "rate_limit_error"
    case 503: "overloaded_error"
    case 500...: "api_error"
    default: "invalid_request_error"
    }
  }

  /// The whole response, with the retry headers that SDKs read.
  func response(_ family: APIFamily, requestID: String?) -> Response {
    var response = Response.json(body(family, requestID: requestID), status: HTTPResponse.Status(code: status))
    if let retryAfterSeconds {
      response.headers[.retryAfter] = String(Int(retryAfterSeconds.rounded(.up)))
      response.headers[.retryAfterMilliseconds] = String(Int((retryAfterSeconds * 1000).rounded(.up)))
      response.headers[.shouldRetry] = "true"
    }
    if status == 401 { response.headers[.wwwAuthenticate] = "Bearer" }
    // Whatever part of the body is still under way would be read as the next request.
    if status == 413 || status == 408 || status == 499 { response.headers[.connection] = "close" }
    return response
  }
}

extension Response {
  /// A JSON answer.
  static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.serializedBytes())))
  }

  static func text(_ text: String, status: HTTPResponse.Status = .ok, type: String = "text/plain; charset=utf-8")
    -> Response
  {
    Response(
      status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
