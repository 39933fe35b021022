// Seam: somebody who speaks HTTP. The rooms below the doors only say what to ask and read what comes back.

/// A whole answer.
public struct HTTPAnswer: Sendable, Equatable {
  public var status: Int
  public var body: [UInt8]

  public init(status: Int, body: [UInt8]) {
    self.status = status
    self.body = body
  }
}

/// One step of an answer that is read line by line.
public enum HTTPLine: Sendable, Equatable {
  /// A line without its end.
  case line([UInt8])
  /// The answer has ended; nil if the server ended it in order. The last element.
  case ended(HTTPExchangeError?)
}

/// The exchange did not happen.
public struct HTTPExchangeError: Error, Sendable, Equatable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// Posts JSON to one server.
public protocol HTTPExchange: Sendable {
  /// The server, for messages; without secrets.
  var server: String { get }

  /// One POST, its whole answer within `timeoutSeconds`.
  ///
  /// - Throws: ``HTTPExchangeError`` if there was no answer; an answer of any status is returned.
  func post(
    path: String, body: [UInt8], timeoutSeconds: Double
  ) async throws(HTTPExchangeError) -> HTTPAnswer

  /// One POST whose answer never ends by itself. Lines are at most `lineLimitBytes` long, a longer one ends the
  /// stream with an error. Leaving the stream closes the connection.
  func lines(path: String, body: [UInt8], lineLimitBytes: Int) -> AsyncStream<HTTPLine>
}
