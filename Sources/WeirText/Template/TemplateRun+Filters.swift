// Filters: `value | name(arguments)`.

extension TemplateRun {
  func filter(_ name: String, _ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    if let text = try textFilter(name, value, inputs) { return text }
    if let list = try listFilter(name, value, inputs) { return list }
    switch name {
    case "default", "d":
      let isMissing = value.isUndefined || (inputs.value(1, "boolean")?.isTrue ?? false && !value.isTrue)
      return isMissing ? inputs.value(0, "default_value") ?? .string("") : value
    case "tojson": return try json(value, inputs)
    case "length", "count": return .integer(try length(of: value))
    case "int": return try integer(value, inputs)
    case "float": return .double(value.number ?? Double(value.text) ?? inputs.value(0, "default")?.number ?? 0)
    case "abs":
      if let number = value.integerValue, number != Int.min { return .integer(abs(number)) }
      guard let number = value.number else { throw failure("abs needs a number, not \(value.kindName)") }
      return .double(abs(number))
    case "round": return try rounded(value, inputs)
    case "items":
      if value.isUndefined { return .list([]) }
      guard case .dictionary(let object) = value else { throw failure("items needs a mapping, not \(value.kindName)") }
      try charge(object.count)
      return .list(object.pairs)
    case "dictsort":
      guard case .dictionary(let object) = value else {
        throw failure("dictsort needs a mapping, not \(value.kindName)")
      }
      return .list(
        try sorted(object.pairs, isReversed: false, isCaseSensitive: false) { (pair) throws(TextError) in
          try self.item(pair, .integer(0))
        })
    case "safe": return value
    default: throw failure("the filter `\(name)` is not supported")
    }
  }

  /// Filters that take the value as text.
  private func textFilter(_ name: String, _ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError)
    -> TemplateValue?
  {
    switch name {
    case "trim": return try charged(TemplateText.strip(value.text, inputs.value(0, "chars").map(\.text)))
    case "upper": return try charged(value.text.uppercased())
    case "lower": return try charged(value.text.lowercased())
    case "capitalize": return try charged(TemplateText.capitalised(value.text))
    case "title": return try charged(TemplateText.titledWords(value.text))
    case "string": return try charged(value.text)
    case "escape", "e", "forceescape": return try charged(TemplateText.escaped(value.text))
    case "replace":
      guard let old = inputs.value(0, "old"), let new = inputs.value(1, "new") else {
        throw failure("replace needs the old and the new text")
      }
      return try replaced(value.text, old.text, new.text, inputs.value(2, "count")?.integerValue)
    case "indent":
      let width = inputs.value(0, "width") ?? .integer(4)
      let prefix = try width.integerValue.map { (n) throws(TextError) in try indentation(n) } ?? width.text
      let lines = value.text.utf8.count { $0 == 10 } + 1
      try charge(lines * (prefix.utf8.count / 16 + 1))
      return try charged(
        TemplateText.indented(
          value.text, by: prefix, first: inputs.value(1, "first")?.isTrue ?? false,
          blank: inputs.value(2, "blank")?.isTrue ?? false))
    case "wordcount": return .integer(TemplateText.split(value.text, nil, limit: -1).count)
    default: return nil
    }
  }

  private func indentation(_ width: Int) throws(TextError) -> String {
    guard width <= 1000 else { throw failure("an indentation of \(width) is too wide; at most 1000") }
    return String(repeating: " ", count: max(0, width))
  }

  /// The result may be much longer than its parts; its size is checked before it is made.
  func replaced(_ text: String, _ old: String, _ new: String, _ count: Int?) throws(TextError) -> TemplateValue {
    let places = old.isEmpty ? text.utf8.count + 1 : text.utf8.count / old.utf8.count
    let (bytes, overflow) = places.multipliedReportingOverflow(by: new.utf8.count)
    if overflow || bytes > limits.outputBytes * 8 {
      throw TextError(code: "template_limit", message: "a replacement could make more than \(limits.outputBytes) bytes")
    }
    try charge(text.utf8.count / 16 + 1)
    return try charged(TemplateText.replace(text, old, with: new, count: count))
  }

  func length(of value: TemplateValue) throws(TextError) -> Int {
    switch value {
    case .string(let text):
      try charge(text.utf8.count / 16 + 1)
      return TemplateText.length(text)
    case .list(let items), .tuple(let items): return items.count
    case .dictionary(let object): return object.count
    case .undefined: return 0
    default: throw failure("a value of kind \(value.kindName) has no length")
    }
  }

  private func json(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    // transformers' order: ensure_ascii, indent, separators, sort_keys.
    var indent = inputs.value(1, "indent").flatMap { $0.isNone ? nil : $0.integerValue }
    if let width = indent { indent = min(max(0, width), 100) }
    var separators: (item: String, key: String)?
    if case .tuple(let pair)? = inputs.value(2, "separators"), pair.count == 2 {
      separators = (pair[0].text, pair[1].text)
    } else if case .list(let pair)? = inputs.value(2, "separators"), pair.count == 2 {
      separators = (pair[0].text, pair[1].text)
    }
    return try charged(
      value.json(indent: indent, sortsKeys: inputs.value(3, "sort_keys")?.isTrue ?? false, separators: separators))
  }

  private func integer(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    if let number = value.integerValue { return .integer(number) }
    if case .double(let number) = value, let whole = Int(exactly: number.rounded(.towardZero)) {
      return .integer(whole)
    }
    if case .string(let text) = value {
      let trimmed = TemplateText.strip(text, nil)
      if let whole = Int(trimmed, radix: min(max(2, inputs.value(1, "base")?.integerValue ?? 10), 36)) {
        return .integer(whole)
      }
      if let number = Double(trimmed), let whole = Int(exactly: number.rounded(.towardZero)) { return .integer(whole) }
    }
    return inputs.value(0, "default") ?? .integer(0)
  }

  private func rounded(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    guard let number = value.number else { throw failure("round needs a number, not \(value.kindName)") }
    let precision = inputs.value(0, "precision")?.integerValue ?? 0
    guard precision.magnitude <= 15 else { throw failure("round works with a precision from -15 to 15") }
    var scale = 1.0
    for _ in 0..<Int(precision.magnitude) { scale *= 10 }
    if precision < 0 { scale = 1 / scale }
    let method = inputs.value(1, "method")?.text ?? "common"
    let rule: FloatingPointRoundingRule = method == "ceil" ? .up : method == "floor" ? .down : .toNearestOrEven
    if method == "common", value.integerValue != nil, precision >= 0 { return .double(number) }
    return .double((number * scale).rounded(rule) / scale)
  }
}
