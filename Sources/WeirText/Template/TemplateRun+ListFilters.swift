// Filters over lists.

extension TemplateRun {
  func listFilter(_ name: String, _ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError)
    -> TemplateValue?
  {
    switch name {
    case "list": return .list(try items(value, name))
    case "first":
      return try items(value, name).first ?? .undefined("the first item of nothing")
    case "last": return try items(value, name).last ?? .undefined("the last item of nothing")
    case "reverse":
      if case .string(let text) = value { return try charged(TemplateText.string(text.unicodeScalars.reversed())) }
      return .list(try items(value, name).reversed())
    case "join": return try joined(value, inputs)
    case "sort":
      let key = inputs.value(2, "attribute")
      let list = try sorted(
        try items(value, name), isReversed: inputs.value(0, "reverse")?.isTrue ?? false,
        isCaseSensitive: inputs.value(1, "case_sensitive")?.isTrue ?? false
      ) { (item) throws(TextError) in
        try key.map { (k) throws(TextError) in try self.member(k.text, of: item) } ?? item
      }
      return .list(list)
    case "unique": return try unique(value, inputs)
    case "min", "max":
      let list = try sorted(try items(value, name), isReversed: false, isCaseSensitive: false) { $0 }
      return (name == "min" ? list.first : list.last) ?? .undefined("the \(name) of nothing")
    case "sum": return try sum(value, inputs)
    case "map": return try mapped(value, inputs)
    case "select", "reject":
      return .list(try selected(value, inputs, keeps: name == "select") { $0 })
    case "selectattr", "rejectattr":
      guard let key = inputs.value(0, "attribute") else { throw failure("\(name) needs the name of an attribute") }
      var rest = inputs
      rest.positional.removeFirst(min(1, rest.positional.count))
      return .list(
        try selected(value, rest, keeps: name == "selectattr") { (item) throws(TextError) in
          try self.member(key.text, of: item)
        })
    default: return nil
    }
  }

  private func items(_ value: TemplateValue, _ filter: String) throws(TextError) -> [TemplateValue] {
    let list = try elements(of: value, "`\(filter)`")
    try charge(list.count)
    return list
  }

  /// `a.b.0`: members of members; numbers are indices.
  private func member(_ path: String, of value: TemplateValue) throws(TextError) -> TemplateValue {
    var result = value
    for part in path.split(separator: ".") {
      if result.isUndefined { return result }
      result = try item(result, Int(part).map { .integer($0) } ?? .string(String(part)))
    }
    return result
  }

  private func joined(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    var parts: [String] = []
    var bytes = 0
    let separator = inputs.value(0, "d")?.text ?? ""
    for item in try items(value, "join") {
      let text = try inputs.value(1, "attribute").map { (k) throws(TextError) in try member(k.text, of: item) } ?? item
      parts.append(text.text)
      bytes += (parts.last?.utf8.count ?? 0) + separator.utf8.count
      if bytes > limits.outputBytes {
        throw TextError(code: "template_limit", message: "a joined string is longer than \(limits.outputBytes) bytes")
      }
    }
    return try charged(parts.joined(separator: separator))
  }

  /// A stable sort; strings without regard to case unless asked.
  func sorted(
    _ list: [TemplateValue], isReversed: Bool, isCaseSensitive: Bool,
    by key: (TemplateValue) throws(TextError) -> TemplateValue
  ) throws(TextError) -> [TemplateValue] {
    try charge(list.count * 16)
    var keyed: [(key: TemplateValue, place: Int)] = []
    for (place, item) in list.enumerated() {
      var value = try key(item)
      if !isCaseSensitive, case .string(let text) = value { value = .string(text.lowercased()) }
      if value.isLess(than: value) == nil || (keyed.first.map { $0.key.isLess(than: value) == nil } ?? false) {
        throw failure("values of kind \(value.kindName) cannot be sorted here")
      }
      keyed.append((value, place))
    }
    keyed.sort { a, b in
      let less = (isReversed ? b.key.isLess(than: a.key) : a.key.isLess(than: b.key)) ?? false
      if less { return true }
      let greater = (isReversed ? a.key.isLess(than: b.key) : b.key.isLess(than: a.key)) ?? false
      return !greater && a.place < b.place
    }
    return keyed.map { list[$0.place] }
  }

  private func unique(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    let isCaseSensitive = inputs.value(0, "case_sensitive")?.isTrue ?? false
    var seen: [TemplateValue] = []
    var kept: [TemplateValue] = []
    for item in try items(value, "unique") {
      var key = try inputs.value(1, "attribute").map { (k) throws(TextError) in try member(k.text, of: item) } ?? item
      if !isCaseSensitive, case .string(let text) = key { key = .string(text.lowercased()) }
      try charge(seen.count)
      if seen.contains(where: { $0.equals(key) }) { continue }
      seen.append(key)
      kept.append(item)
    }
    return .list(kept)
  }

  private func sum(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    var total = 0.0
    var isWhole = true
    for item in try items(value, "sum") {
      let part = try inputs.value(0, "attribute").map { (k) throws(TextError) in try member(k.text, of: item) } ?? item
      guard let number = part.number else { throw failure("sum needs numbers, not \(part.kindName)") }
      if part.integerValue == nil { isWhole = false }
      total += number
    }
    if isWhole, let whole = Int(exactly: total) { return .integer(whole) }
    return .double(total)
  }

  private func mapped(_ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    let list = try items(value, "map")
    var result: [TemplateValue] = []
    if let key = inputs.named.first(where: { $0.name == "attribute" })?.value {
      let fallback = inputs.named.first { $0.name == "default" }?.value
      for item in list {
        let found = try member(key.text, of: item)
        result.append(found.isUndefined ? fallback ?? found : found)
      }
      return .list(result)
    }
    guard case .string(let name)? = inputs.positional.first else {
      throw failure("map needs the name of a filter, or attribute=")
    }
    let rest = TemplateInputs(positional: Array(inputs.positional.dropFirst()), named: inputs.named)
    for item in list { result.append(try filter(name, item, rest)) }
    return .list(result)
  }

  private func selected(
    _ value: TemplateValue, _ inputs: TemplateInputs, keeps: Bool,
    by key: (TemplateValue) throws(TextError) -> TemplateValue
  ) throws(TextError) -> [TemplateValue] {
    var kept: [TemplateValue] = []
    let rest = TemplateInputs(positional: Array(inputs.positional.dropFirst()), named: inputs.named)
    for item in try items(value, "select") {
      let subject = try key(item)
      let holds =
        try inputs.positional.first.map { (n) throws(TextError) in try test(n.text, subject, rest) } ?? subject.isTrue
      if holds == keeps { kept.append(item) }
    }
    return kept
  }
}
