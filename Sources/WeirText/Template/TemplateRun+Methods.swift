// Methods of strings, lists and mappings: those of Python that templates call and that change nothing.

extension TemplateRun {
  static let stringMethods: Set<String> = [
    "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "upper", "lower", "title", "capitalize", "startswith",
    "endswith", "replace", "join", "find", "count", "removeprefix", "removesuffix", "isdigit", "isalpha", "isspace",
    "format",
  ]
  static let listMethods: Set<String> = [
    "index", "count", "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "copy",
  ]
  static let dictionaryMethods: Set<String> = [
    "keys", "values", "items", "get", "copy", "update", "pop", "setdefault", "clear", "popitem",
  ]

  func method(_ name: String, of base: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    switch base {
    case .string(let text): return try method(name, of: text, inputs)
    case .dictionary(let object): return try method(name, of: object, inputs)
    case .list(let items), .tuple(let items):
      guard let wanted = inputs.positional.first, name == "index" || name == "count" else { break }
      try charge(items.count)
      if name == "count" { return .integer(items.count { $0.equals(wanted) }) }
      guard let place = items.firstIndex(where: { $0.equals(wanted) }) else {
        throw failure("the item is not in the list")
      }
      return .integer(place)
    default: break
    }
    if name == "copy" { return base }
    throw failure("`\(name)` would change the \(base.kindName); templates may only read")
  }

  private func method(_ name: String, of object: TemplateDictionary, _ inputs: TemplateInputs) throws(TextError)
    -> TemplateValue
  {
    try charge(object.count)
    switch name {
    case "keys": return .list(object.keys)
    case "values": return .list(object.values)
    case "items": return .list(object.pairs)
    case "copy": return .dictionary(object)
    case "get":
      guard let key = inputs.positional.first else { throw failure("get needs a key") }
      return object[key] ?? inputs.value(1, "default") ?? .none
    default: throw failure("`\(name)` would change the mapping; templates may only read")
    }
  }

  private func method(_ name: String, of text: String, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    try charge(text.utf8.count / 16 + 1)
    let first = inputs.positional.first
    let characters = first.flatMap { $0.isNone ? nil : $0.text }
    switch name {
    case "strip": return try charged(TemplateText.strip(text, characters))
    case "lstrip": return try charged(TemplateText.strip(text, characters, right: false))
    case "rstrip": return try charged(TemplateText.strip(text, characters, left: false))
    case "upper": return try charged(text.uppercased())
    case "lower": return try charged(text.lowercased())
    case "title": return try charged(TemplateText.titled(text))
    case "capitalize": return try charged(TemplateText.capitalised(text))
    case "split", "rsplit":
      if characters?.isEmpty ?? false { throw failure("the separator of split must not be empty") }
      let limit = inputs.value(1, "maxsplit")?.integerValue ?? -1
      try charge(text.utf8.count)
      let separator = characters ?? inputs.named.first { $0.name == "sep" }?.value.text
      return .list(TemplateText.split(text, separator, limit: limit, fromRight: name == "rsplit").map { .string($0) })
    case "splitlines":
      try charge(text.utf8.count)
      return .list(TemplateText.lines(text).map { .string($0) })
    case "replace":
      guard inputs.positional.count >= 2 else { throw failure("replace needs the old and the new text") }
      return try replaced(
        text, inputs.positional[0].text, inputs.positional[1].text, inputs.value(2, "count")?.integerValue)
    case "join": return try filter("join", first ?? .list([]), TemplateInputs(positional: [.string(text)]))
    case "isdigit":
      return .bool(!text.isEmpty && text.unicodeScalars.allSatisfy { $0.properties.numericType == .decimal })
    case "isalpha":
      return .bool(!text.isEmpty && text.unicodeScalars.allSatisfy { ScalarClass(of: $0).contains(.letter) })
    case "isspace": return .bool(!text.isEmpty && text.unicodeScalars.allSatisfy { TemplateText.isSpace($0) })
    default: return try searchMethod(name, of: text, first)
    }
  }

  private func searchMethod(_ name: String, of text: String, _ argument: TemplateValue?) throws(TextError)
    -> TemplateValue
  {
    guard let argument else { throw failure("`\(name)` needs an argument") }
    switch name {
    case "startswith", "endswith":
      var options = [argument]
      if case .tuple(let several) = argument { options = several }
      return .bool(
        options.contains { option in
          name == "startswith"
            ? text.utf8.starts(with: option.text.utf8) : text.utf8.reversed().starts(with: option.text.utf8.reversed())
        })
    case "removeprefix":
      return try charged(
        text.utf8.starts(with: argument.text.utf8)
          ? String(decoding: text.utf8.dropFirst(argument.text.utf8.count), as: UTF8.self) : text)
    case "removesuffix":
      return try charged(
        text.utf8.reversed().starts(with: argument.text.utf8.reversed())
          ? String(decoding: text.utf8.dropLast(argument.text.utf8.count), as: UTF8.self) : text)
    case "find":
      guard let bytes = TemplateText.find(argument.text, in: text) else { return .integer(-1) }
      return .integer(TemplateText.length(String(decoding: text.utf8.prefix(bytes), as: UTF8.self)))
    case "count":
      if argument.text.isEmpty { return .integer(TemplateText.length(text) + 1) }
      try charge(text.utf8.count)
      return .integer(TemplateText.split(text, argument.text, limit: -1).count - 1)
    default: throw failure("the method `\(name)` is not supported")
    }
  }

  /// `"%s" % value`, with `%s %r %d %i %%` and `%.2f`.
  func formatted(_ format: String, _ value: TemplateValue) throws(TextError) -> TemplateValue {
    var arguments = [value][...]
    if case .tuple(let several) = value { arguments = several[...] }
    var result = ""
    var scalars = format.unicodeScalars[...]
    while let scalar = scalars.popFirst() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      let digits = TemplateText.string(scalars.prefix { $0 == "." || ($0.value >= 48 && $0.value <= 57) })
      scalars = scalars.dropFirst(digits.unicodeScalars.count)
      let kind = scalars.popFirst()
      if kind == "%", digits.isEmpty {
        result += "%"
        continue
      }
      guard let argument = arguments.popFirst() else { throw failure("`%` has too few values for its format") }
      switch (kind, digits.isEmpty) {
      case ("s", true): result += argument.text
      case ("r", true): result += argument.representation
      case ("d", true), ("i", true):
        guard let number = argument.number, let whole = Int(exactly: number.rounded(.towardZero)) else {
          throw failure("%d needs a number, not \(argument.kindName)")
        }
        result += String(whole)
      default: throw failure("this format of `%` is not supported")
      }
      if result.utf8.count > limits.outputBytes { throw failure("a formatted string is too long") }
    }
    return try charged(result)
  }
}
