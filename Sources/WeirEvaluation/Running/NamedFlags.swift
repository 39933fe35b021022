// Several configurations in one call: `--configuration "name: --flag value"` and `--compare flag=value,value`.

/// A configuration to compare: what it is called and the flags that it adds to those of the call.
public struct NamedFlags: Sendable, Equatable {
  public let name: String
  /// As on a command line.
  public let flags: [String]

  public init(name: String, flags: [String]) {
    self.name = name
    self.flags = flags
  }

  /// Reads `name: --flag value --flag`. Without a name, which the text then starts with a dash for, the flags name it.
  ///
  /// - Throws: ``EvaluationError`` if the text has neither.
  public init(_ text: String) throws(EvaluationError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let isNamed = parts.count == 2 && !text.hasPrefix("-")
    let words = (isNamed ? parts[1] : text[...]).split { $0.isWhitespace }.map(String.init)
    guard isNamed || words.first?.hasPrefix("-") == true else {
      throw EvaluationError(
        code: "invalid_configuration",
        message: "--configuration \"\(text)\" must read \"name: --flag value ...\", for example "
          + "\"q8: --kv-cache-dtype q8_0\"")
    }
    let ownName = isNamed ? parts[0].split { $0.isWhitespace }.joined(separator: " ") : ""
    flags = words
    name = ownName.isEmpty ? words.map { String($0.drop { $0 == "-" }) }.joined(separator: " ") : ownName
    guard !name.isEmpty else {
      throw EvaluationError(code: "invalid_configuration", message: "--configuration \"\(text)\" has no name")
    }
  }

  /// Everything that a call compares: each `configurations` text, or else every combination of the `sweeps`
  /// (`flag=value,value,...`), or else one configuration without flags of its own.
  ///
  /// - Throws: ``EvaluationError`` for a text that cannot be read, for names that repeat, and if both are given.
  public static func all(
    configurations: [String], sweeps: [String], defaultName: String
  ) throws(EvaluationError) -> [NamedFlags] {
    guard configurations.isEmpty || sweeps.isEmpty else {
      throw EvaluationError(
        code: "invalid_configuration", message: "--configuration and --compare exclude each other; give one of them")
    }
    var all: [NamedFlags] = []
    for text in configurations { all.append(try NamedFlags(text)) }
    if !sweeps.isEmpty { all = try product(of: sweeps) }
    if all.isEmpty { return [NamedFlags(name: defaultName, flags: [])] }
    var names: Set<String> = []
    for entry in all where !names.insert(entry.name).inserted {
      throw EvaluationError(
        code: "invalid_configuration",
        message: "two configurations are called \"\(entry.name)\"; every one needs a name of its own")
    }
    return all
  }

  private static func product(of sweeps: [String]) throws(EvaluationError) -> [NamedFlags] {
    var all: [NamedFlags] = []
    for text in sweeps {
      let parts = text.split(separator: "=", maxSplits: 1)
      let flag = parts.first.map { String($0.drop { $0 == "-" }) } ?? ""
      let values = parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : []
      guard !flag.isEmpty, !values.isEmpty else {
        throw EvaluationError(
          code: "invalid_configuration",
          message: "--compare \(text) must read flag=value,value, for example kv-cache-dtype=f16,q8_0")
      }
      let column = values.map { NamedFlags(name: "\(flag)=\($0)", flags: ["--\(flag)", $0]) }
      all =
        all.isEmpty
        ? column
        : all.flatMap { left in
          column.map { NamedFlags(name: "\(left.name) \($0.name)", flags: left.flags + $0.flags) }
        }
    }
    return all
  }
}
