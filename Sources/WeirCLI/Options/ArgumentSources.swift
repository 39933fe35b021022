// Flags, environment and configuration file, in that order of precedence.

import Foundation

/// Turns `WEIR_...` variables and a `--config` file into flags, so that every setting has one definition.
enum ArgumentSources {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Commands whose flags may also come from the environment and from a file.
  private static let configurable: Set<String> = ["serve", "chat", "complete", "eval"]
  /// Flags that take no value.
  private static let switches: Set<String> = [
    "no-enable-prefix-caching", "disable-web", "protect-metrics", "share-cache-between-keys", "dry-run", "quiet",
    "disable-access-log",
  ]
  /// Other spellings on the command line of the flags that environment and file may also set.
  private static let aliases = [
    "-t": "threads", "-c": "max-model-len", "-a": "served-model-name", "--ctk": "kv-key-dtype",
    "--ctv": "kv-value-dtype", "--np": "max-num-seqs",
  ]

  /// The arguments with everything added that the command line itself does not say.
  ///
  /// - Throws: `Failure` naming the line of a configuration file that is not `key: value`.
  static func merged(arguments: [String], environment: [String: String]) throws -> [String] {
    guard let command = arguments.first, configurable.contains(command) else { return arguments }
    let taken = names(of: command)
    var known = Set(arguments.filter { $0.hasPrefix("-") }.map(name(ofArgument:)))
    var result = arguments
    for (variable, value) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("WEIR_") {
      let name = variable.dropFirst(5).lowercased().replacingOccurrences(of: "_", with: "-")
      guard taken.contains(name) else { continue }
      add(name, value, to: &result, known: &known)
    }
    let path = value(of: "config", in: arguments) ?? environment["WEIR_CONFIG"]
    if let path {
      for (name, value) in try readFile(path) where taken.contains(name) {
        add(name, value, to: &result, known: &known)
      }
    }
    return result
  }

  /// Flags of every command that runs a model, without their dashes.
  private static let modelFlags: Set<String> = [
    "served-model-name", "max-model-len", "kv-cache-dtype", "kv-key-dtype", "kv-value-dtype", "block-size",
    "kv-memory", "max-num-seqs", "max-num-batched-tokens", "max-mixed-prefill-tokens", "max-queued-requests",
    "threads", "kernels", "chat-template", "seed", "no-enable-prefix-caching",
  ]
  /// Flags of `serve` and `eval` only.
  private static let policyFlags: Set<String> = ["kv-policy", "budget", "allowed-kv-policies", "max-kv-budget"]
  /// Every flag that a configurable command knows, without its dashes.
  static let flagNames: Set<String> = modelFlags.union(switches).union([
    "host", "port", "api-key", "api-key-file", "admin-key", "ssl-certfile", "ssl-keyfile", "shutdown-timeout",
    "max-body-bytes", "allowed-origin", "log-level", "role", "transfer-port", "transfer-host", "transfer-path",
    "cluster-secret-file", "kv-lease-duration", "kv-arrival-timeout", "node-id",
    "etcd", "cluster-name",
  ]).union(policyFlags)

  /// What the environment and the file may set for a command; one file may serve several commands.
  private static func names(of command: String) -> Set<String> {
    switch command {
    case "serve": flagNames.subtracting(["quiet"])
    case "eval": modelFlags.union(["quiet"]).union(policyFlags)
    default: modelFlags.union(["quiet"])
    }
  }

  /// The flag that an argument sets, without dashes and value.
  private static func name(ofArgument argument: String) -> String {
    let spelling = String(argument.prefix { $0 != "=" })
    if let name = aliases[spelling] { return name }
    // A short flag may have its value attached, as in -c4096.
    if !spelling.hasPrefix("--"), let name = aliases[String(spelling.prefix(2))] { return name }
    return String(spelling.drop { $0 == "-" })
  }

  private static func add(_ name: String, _ value: String, to result: inout [String], known: inout Set<String>) {
    guard known.insert(name).inserted else { return }
    if switches.contains(name) {
      if ["1", "true", "yes", "on"].contains(value.lowercased()) { result.append("--\(name)") }
    } else {
      result += ["--\(name)", value]
    }
  }

  private static func value(of name: String, in arguments: [String]) -> String? {
    for (index, argument) in arguments.enumerated() {
      if argument == "--\(name)", index + 1 < arguments.count { return arguments[index + 1] }
      if argument.hasPrefix("--\(name)=") { return String(argument.dropFirst(name.count + 3)) }
    }
    return nil
  }

  /// Flat `key: value` lines (the YAML that flags need); `#` starts a comment.
  private static func readFile(_ path: String) throws -> [(name: String, value: String)] {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw Failure(description: "--config \(path): the file cannot be read")
    }
    var entries: [(name: String, value: String)] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let content = line.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
      if content.isEmpty { continue }
      guard let colon = content.firstIndex(of: ":") else {
        throw Failure(description: "--config \(path): line \(index + 1) is not `key: value`")
      }
      let name = content[..<colon].trimmingCharacters(in: .whitespaces).replacingOccurrences(of: "_", with: "-")
      guard flagNames.contains(name) else {
        throw Failure(description: "--config \(path): line \(index + 1) names an unknown setting, \(name)")
      }
      let value = content[content.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      entries.append((name, value.trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))))
    }
    return entries
  }
}
