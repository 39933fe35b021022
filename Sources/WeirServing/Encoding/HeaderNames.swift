// Header names that swift-http-types does not know.

import HTTPTypes

extension HTTPField.Name {
  /// Makes a name from a literal that is a valid token.
  private static func literal(_ text: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(text) else { preconditionFailure("\(text) is not a header name") }
    return name
  }

  static let requestID = literal("X-Request-Id")
  static let anthropicRequestID = literal("request-id")
  static let apiKey = literal("x-api-key")
  static let retryAfterMilliseconds = literal("retry-after-ms")
  static let shouldRetry = literal("x-should-retry")
  static let vllmPriority = literal("X-Vllm-Priority")
  static let tenantID = literal("x-tenant-id")
  static let sessionID = literal("X-Session-ID")
  static let dynamoSessionID = literal("X-Dynamo-Session-ID")
  static let correlationID = literal("X-Correlation-ID")
  static let sessionAffinity = literal("X-Session-Affinity")
  static let processingMilliseconds = literal("openai-processing-ms")
  static let weirPrefillNode = literal("X-Weir-Prefill-Node")
  static let weirDecodeNode = literal("X-Weir-Decode-Node")
  static let weirPeer = literal("x-weir-peer")
  static let accelBuffering = literal("X-Accel-Buffering")
}
