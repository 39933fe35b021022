// Expressions, loosest binding first: if-else, or, and, not, comparisons, + -, ~, * / // %, **, signs, postfix.

extension TemplateParser {
  /// `a, b` is a tuple.
  mutating func tupleOrExpression(allowsConditional: Bool = true) throws(TextError) -> TemplateExpression {
    let first = try expression(allowsConditional: allowsConditional)
    guard peekSymbol(",") else { return first }
    var items = [first]
    while takeSymbol(",") {
      if current == nil || peekSymbol(")") { break }
      items.append(try expression(allowsConditional: allowsConditional))
    }
    return .tuple(items)
  }

  mutating func expression(allowsConditional: Bool = true) throws(TextError) -> TemplateExpression {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.depthMax { throw failure("expressions are nested deeper than \(Self.depthMax)") }
    var value = try or()
    while allowsConditional, takeName("if") {
      let condition = try or()
      let other = takeName("else") ? try expression() : nil
      value = .conditional(value, condition: condition, other: other)
    }
    return value
  }

  private mutating func or() throws(TextError) -> TemplateExpression {
    var left = try and()
    while takeName("or") { left = .or(left, try and()) }
    return left
  }

  private mutating func and() throws(TextError) -> TemplateExpression {
    var left = try not()
    while takeName("and") { left = .and(left, try not()) }
    return left
  }

  private mutating func not() throws(TextError) -> TemplateExpression {
    var negations = 0
    while takeName("not") { negations += 1 }
    var value = try comparison()
    for _ in 0..<min(negations, 2 + negations % 2) { value = .not(value) }
    return value
  }

  private mutating func comparison() throws(TextError) -> TemplateExpression {
    let first = try sum()
    var rest: [(operation: String, value: TemplateExpression)] = []
    while let operation = comparisonOperator() { rest.append((operation, try sum())) }
    return rest.isEmpty ? first : .compare(first, rest)
  }

  private mutating func comparisonOperator() -> String? {
    switch current {
    case .symbol(let symbol) where ["==", "!=", "<", ">", "<=", ">="].contains(symbol):
      at += 1
      return symbol
    case .name("in"):
      at += 1
      return "in"
    case .name("not") where at + 1 < tokens.count && tokens[at + 1] == .name("in"):
      at += 2
      return "not in"
    default: return nil
    }
  }

  private mutating func sum() throws(TextError) -> TemplateExpression {
    var left = try joined()
    while let symbol = takeAny(["+", "-"]) { left = .binary(symbol, left, try joined()) }
    return left
  }

  private mutating func joined() throws(TextError) -> TemplateExpression {
    var left = try product()
    while takeSymbol("~") { left = .binary("~", left, try product()) }
    return left
  }

  private mutating func product() throws(TextError) -> TemplateExpression {
    var left = try power()
    while let symbol = takeAny(["*", "/", "//", "%"]) { left = .binary(symbol, left, try power()) }
    return left
  }

  private mutating func power() throws(TextError) -> TemplateExpression {
    var left = try unary()
    while takeSymbol("**") { left = .binary("**", left, try unary()) }
    return left
  }

  private mutating func takeAny(_ symbols: Set<String>) -> String? {
    guard case .symbol(let symbol)? = current, symbols.contains(symbol) else { return nil }
    at += 1
    return symbol
  }

  private mutating func unary(withFilters: Bool = true) throws(TextError) -> TemplateExpression {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.depthMax { throw failure("expressions are nested deeper than \(Self.depthMax)") }
    var value: TemplateExpression
    if takeSymbol("-") {
      value = .negate(try unary(withFilters: false))
    } else if takeSymbol("+") {
      value = .plus(try unary(withFilters: false))
    } else {
      value = try primary()
    }
    value = try postfix(value)
    return withFilters ? try filtersAndTests(value) : value
  }

  private mutating func primary() throws(TextError) -> TemplateExpression {
    guard let token = current else { throw failure("a value was expected, found the end of the tag") }
    at += 1
    switch token {
    case .integer(let value): return .literal(.integer(value))
    case .float(let value): return .literal(.double(value))
    case .string(var text):
      while case .string(let more)? = current {
        text += more
        at += 1
      }
      return .literal(.string(text))
    case .name(let name): return Self.literal(name) ?? .name(name)
    case .symbol("("):
      if takeSymbol(")") { return .tuple([]) }
      let inner = try tupleOrExpression()
      try expectSymbol(")")
      return inner
    case .symbol("["): return .list(try items(until: "]"))
    case .symbol("{"): return try dictionary()
    case .symbol(let symbol): throw failure("a value was expected, found `\(symbol)`")
    }
  }

  private static func literal(_ name: String) -> TemplateExpression? {
    switch name {
    case "true", "True": .literal(.bool(true))
    case "false", "False": .literal(.bool(false))
    case "none", "None": .literal(.none)
    default: nil
    }
  }

  private mutating func items(until close: String) throws(TextError) -> [TemplateExpression] {
    var list: [TemplateExpression] = []
    while !takeSymbol(close) {
      if !list.isEmpty { try expectSymbol(",") }
      if takeSymbol(close) { break }
      list.append(try expression())
    }
    return list
  }

  private mutating func dictionary() throws(TextError) -> TemplateExpression {
    var pairs: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !takeSymbol("}") {
      if !pairs.isEmpty { try expectSymbol(",") }
      if takeSymbol("}") { break }
      let key = try expression()
      try expectSymbol(":")
      pairs.append((key, try expression()))
    }
    return .dictionary(pairs)
  }

  private mutating func postfix(_ start: TemplateExpression) throws(TextError) -> TemplateExpression {
    var value = start
    var length = 0
    while true {
      if takeSymbol(".") {
        if case .integer(let index)? = current {
          at += 1
          value = .item(value, .literal(.integer(index)))
        } else {
          value = .attribute(value, try name())
        }
      } else if takeSymbol("[") {
        value = try subscripted(value)
      } else if peekSymbol("(") {
        value = .call(value, try arguments())
      } else {
        return value
      }
      try limitChain(&length)
    }
  }

  /// Chains are evaluated recursively, so that their length is limited as nesting is.
  private func limitChain(_ length: inout Int) throws(TextError) {
    length += 1
    if length > Self.depthMax { throw failure("a chain of attributes or filters is longer than \(Self.depthMax)") }
  }

  private mutating func subscripted(_ value: TemplateExpression) throws(TextError) -> TemplateExpression {
    var bounds: [TemplateExpression?] = []
    var isSlice = false
    var current: TemplateExpression?
    while true {
      if takeSymbol(":") {
        isSlice = true
        bounds.append(current)
        current = nil
        if bounds.count > 2 { throw failure("a slice has at most two colons") }
      } else if takeSymbol("]") {
        break
      } else if current == nil {
        current = try expression()
      } else {
        throw failure("`]` was expected, found \(shown(self.current))")
      }
    }
    bounds.append(current)
    if isSlice { return .slice(value, bounds[0], bounds[1], bounds.count > 2 ? bounds[2] : nil) }
    guard let index = current else { throw failure("a subscript is empty") }
    return .item(value, index)
  }

  mutating func arguments() throws(TextError) -> TemplateArguments {
    try expectSymbol("(")
    var result = TemplateArguments()
    var isFirst = true
    while !takeSymbol(")") {
      if !isFirst { try expectSymbol(",") }
      if takeSymbol(")") { break }
      isFirst = false
      if case .name(let name)? = current, at + 1 < tokens.count, tokens[at + 1] == .symbol("=") {
        at += 2
        result.named.append((name, try expression()))
      } else if peekSymbol("*") || peekSymbol("**") {
        throw failure("spreading arguments is not supported")
      } else {
        guard result.named.isEmpty else { throw failure("a positional argument follows a named one") }
        result.positional.append(try expression())
      }
    }
    return result
  }

  private mutating func filtersAndTests(_ start: TemplateExpression) throws(TextError) -> TemplateExpression {
    var value = start
    var length = 0
    while true {
      if takeSymbol("|") {
        let name = try name()
        value = .filter(value, name, peekSymbol("(") ? try arguments() : TemplateArguments())
      } else if takeName("is") {
        value = try test(value)
      } else if peekSymbol("(") {
        value = .call(value, try arguments())
      } else {
        return value
      }
      try limitChain(&length)
    }
  }

  private mutating func test(_ value: TemplateExpression) throws(TextError) -> TemplateExpression {
    let isNegated = takeName("not")
    let name = try name()
    var arguments = TemplateArguments()
    if peekSymbol("(") {
      arguments = try self.arguments()
    } else if startsTestArgument() {
      arguments.positional = [try postfix(try primary())]
    }
    let test = TemplateExpression.test(value, name, arguments)
    return isNegated ? .not(test) : test
  }

  private func startsTestArgument() -> Bool {
    switch current {
    case .name(let word): !["else", "or", "and", "is", "in", "not", "if"].contains(word)
    case .string, .integer, .float: true
    case .symbol(let symbol): symbol == "[" || symbol == "{"
    case nil: false
    }
  }

  /// `name(args) | name(args)`, for `set` and `filter` blocks.
  mutating func filterChain(startsWithBar: Bool) throws(TextError) -> [(name: String, arguments: TemplateArguments)] {
    var chain: [(name: String, arguments: TemplateArguments)] = []
    repeat {
      let name = try name()
      chain.append((name, peekSymbol("(") ? try arguments() : TemplateArguments()))
    } while takeSymbol("|")
    return chain
  }
}
