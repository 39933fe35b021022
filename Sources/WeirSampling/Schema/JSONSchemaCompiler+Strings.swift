// Strings of JSON Schema: lengths, patterns, formats.

import WeirBasics

extension JSONSchemaCompiler {
  mutating func string(_ members: JSONObject, _ path: String) throws(SamplingError) -> GrammarExpression {
    let least = try count(members, "minLength", path)
    let most = try count(members, "maxLength", path)
    let format = members["format"]?.string.flatMap { Self.formats[$0] }
    let limits = [least != nil || most != nil, members.contains("pattern"), format != nil].count { $0 }
    guard limits <= 1 else {
      throw Self.unsupported(path, "more than one of lengths, 'pattern' and a checked 'format' for one string")
    }
    if let pattern = members["pattern"] {
      guard let text = pattern.string else { throw Self.invalid("\(path)/pattern", "it must be a string") }
      return quoted(JSONGrammar.escaped(try parsed(text, "\(path)/pattern", searches: true)))
    }
    if let format { return quoted(JSONGrammar.escaped(try parsed(format, "\(path)/format", searches: false))) }
    guard least != nil || most != nil else { return grammar.string }
    if let most, most < least ?? 0 { throw Self.invalid(path, "'maxLength' is less than 'minLength'") }
    return quoted(.repeated(grammar.characterRule, least ?? 0, most))
  }

  private func quoted(_ inside: GrammarExpression) -> GrammarExpression {
    .sequence([JSONGrammar.quote, inside, JSONGrammar.quote])
  }

  private func parsed(_ text: String, _ path: String, searches: Bool) throws(SamplingError) -> GrammarExpression {
    do {
      return try RegexParser.parse(text, searches: searches)
    } catch {
      throw SamplingError(error.kind, "\(path): \(error.message)", parameter: path, position: error.position)
    }
  }

  /// The formats that are enforced, as full-match expressions; other formats are annotations.
  static let formats: [String: String] = {
    let leapYear = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
    let date =
      "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
      + "|02-(?:0[1-9]|1[0-9]|2[0-8]))|\(leapYear)-02-29)"
    let time =
      "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    let label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    return [
      "date": date,
      "time": time,
      "date-time": "\(date)T\(time)",
      "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
      "ipv4": "\(octet)(?:\\.\(octet)){3}",
      "email": "[A-Za-z0-9_%+-]+(?:\\.[A-Za-z0-9_%+-]+)*@\(label)(?:\\.\(label))+",
    ]
  }()
}
