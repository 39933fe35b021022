// The flags that every command with a router shares.

import ArgumentParser
import Logging
import WeirPolicies

struct RoutingOptions: ParsableArguments {
  @Option(help: "Address to bind.") var host = "127.0.0.1"
  @Option(help: "Port to bind; 0 takes a free one.") var port = 8000
  @Option(help: "How requests are placed: round-robin, least-loaded, prefix-aware, load-aware.")
  var routing = RoutingKey.loadAware.rawValue
  @Option(name: .customLong("least-prefill-tokens"), help: "Shorter prompts are computed where they are decoded.")
  var leastPrefillTokens = 0
  @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error.") var logLevel = "warning"

  func key() throws -> RoutingKey {
    guard let key = RoutingKey(rawValue: routing) else {
      throw ValidationError("--routing is \(routing); it must be one of \(RoutingKey.allCases.map(\.rawValue))")
    }
    return key
  }

  func logger() throws -> Logger {
    guard let level = Logger.Level(rawValue: logLevel) else {
      throw ValidationError("--log-level is \(logLevel); it must be one of \(Logger.Level.allCases.map(\.rawValue))")
    }
    var logger = Logger(label: "weir") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }
}
