// Reads a request's body within the limits of size and time.

import HTTPTypes
import Hummingbird
import NIOCore
import WeirBasics

extension ServingState {
  /// The body as a JSON object. An empty body is an empty object only where `allowsEmpty` says so.
  func fields(_ request: Request, allowsEmpty: Bool = false) async throws -> FieldReader {
    let bytes = try await body(request)
    if bytes.isEmpty {
      guard allowsEmpty else {
        throw APIError.invalid(nil, "The request has no body; send a JSON object.", code: "invalid_json")
      }
      return FieldReader(JSONObject())
    }
    let value = try JSONValue.parse(utf8: bytes)
    guard let object = value.object else {
      throw APIError.invalid(nil, "The body must be a JSON object, got \(value.kindName).", code: "invalid_json")
    }
    return FieldReader(object)
  }

  /// - Parameter limitBytes: nil: the server's own limit.
  func body(_ request: Request, limitBytes: Int? = nil) async throws -> [UInt8] {
    let limit = limitBytes ?? configuration.maxBodyBytes
    if let announced = request.headers[.contentLength].flatMap({ Int($0) }), announced > limit {
      throw APIError.bodyTooLarge(limit: limit)
    }
    let seconds = configuration.bodyTimeoutSeconds
    let body = request.body
    return try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
      group.addTask {
        do {
          return Array(buffer: try await body.collect(upTo: limit))
        } catch is NIOTooManyBytesError {
          throw APIError.bodyTooLarge(limit: limit)
        }
      }
      group.addTask {
        try await Task.sleep(nanoseconds: UInt64(seconds * 1e9))
        return nil
      }
      defer { group.cancelAll() }
      guard let first = try await group.next(), let bytes = first else { throw APIError.bodyTimeout }
      return bytes
    }
  }
}
