// Running a parsed template: expressions.

/// Evaluated arguments of a call, filter or test.
struct TemplateInputs {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  /// The argument at `index` or called `name`.
  func value(_ index: Int, _ name: String) -> TemplateValue? {
    index < positional.count ? positional[index] : named.first { $0.name == name }?.value
  }
}

extension TemplateRun {
  func evaluate(_ arguments: TemplateArguments, _ scope: TemplateScope) throws(TextError) -> TemplateInputs {
    var inputs = TemplateInputs()
    for argument in arguments.positional { inputs.positional.append(try evaluate(argument, scope)) }
    for argument in arguments.named { inputs.named.append((argument.name, try evaluate(argument.value, scope))) }
    return inputs
  }

  func evaluate(_ expression: TemplateExpression, _ scope: TemplateScope) throws(TextError) -> TemplateValue {
    try charge()
    try enter()
    defer { depth -= 1 }
    switch expression {
    case .literal(let value): return value
    case .name(let name): return scope.value(name) ?? global(name)
    case .list(let items): return .list(try evaluate(items, scope))
    case .tuple(let items): return .tuple(try evaluate(items, scope))
    case .dictionary(let pairs): return try dictionary(pairs, scope)
    case .attribute(let base, let name): return try attribute(name, of: try evaluate(base, scope), shown: base)
    case .item(let base, let index): return try item(try evaluate(base, scope), try evaluate(index, scope))
    case .slice(let base, let from, let to, let step): return try slice(base, from, to, step, scope)
    case .call(let callee, let arguments): return try call(callee, arguments, caller: nil, scope)
    case .filter(let base, let name, let arguments):
      return try filter(name, try evaluate(base, scope), try evaluate(arguments, scope))
    case .test(let base, let name, let arguments):
      return .bool(try test(name, try evaluate(base, scope), try evaluate(arguments, scope)))
    case .not(let value): return .bool(try !evaluate(value, scope).isTrue)
    case .and(let a, let b):
      let left = try evaluate(a, scope)
      return left.isTrue ? try evaluate(b, scope) : left
    case .or(let a, let b):
      let left = try evaluate(a, scope)
      return left.isTrue ? left : try evaluate(b, scope)
    case .negate(let value): return try signed(try evaluate(value, scope), negative: true)
    case .plus(let value): return try signed(try evaluate(value, scope), negative: false)
    case .binary(let operation, let a, let b):
      return try binary(operation, try evaluate(a, scope), try evaluate(b, scope))
    case .compare(let first, let rest): return try compare(first, rest, scope)
    case .conditional(let value, let condition, let other):
      if try evaluate(condition, scope).isTrue { return try evaluate(value, scope) }
      return try other.map { (e) throws(TextError) in try evaluate(e, scope) }
        ?? .undefined("the inline if without else")
    }
  }

  private func evaluate(_ list: [TemplateExpression], _ scope: TemplateScope) throws(TextError) -> [TemplateValue] {
    var values: [TemplateValue] = []
    for item in list { values.append(try evaluate(item, scope)) }
    return values
  }

  private func global(_ name: String) -> TemplateValue {
    switch name {
    case "range", "namespace", "dict", "raise_exception": .function(name)
    case "strftime_now": unixTime == nil ? .undefined(name) : .function(name)
    default: .undefined(name)
    }
  }

  private func dictionary(
    _ pairs: [(key: TemplateExpression, value: TemplateExpression)], _ scope: TemplateScope
  ) throws(TextError) -> TemplateValue {
    var result = TemplateDictionary()
    for pair in pairs { result.set(try evaluate(pair.key, scope), try evaluate(pair.value, scope)) }
    return .dictionary(result)
  }

  // MARK: parts of values

  /// `a.name`: a method first, then a member.
  func attribute(_ name: String, of base: TemplateValue, shown: TemplateExpression? = nil) throws(TextError)
    -> TemplateValue
  {
    switch base {
    case .undefined(let missing): throw failure("`\(missing)` is undefined, so it has no `\(name)`")
    case .dictionary(let object):
      if Self.dictionaryMethods.contains(name) { return .method(TemplateBox(base), name) }
      try charge(object.count / 8)
      return object[name] ?? .undefined(name)
    case .string: return Self.stringMethods.contains(name) ? .method(TemplateBox(base), name) : .undefined(name)
    case .list, .tuple: return Self.listMethods.contains(name) ? .method(TemplateBox(base), name) : .undefined(name)
    case .namespace(let space): return space.value(name) ?? .undefined(name)
    case .macro(let closure): return name == "name" ? .string(closure.macro.name) : .undefined(name)
    default: return .undefined(name)
    }
  }

  /// `a[index]`: a member first, then a method.
  func item(_ base: TemplateValue, _ index: TemplateValue) throws(TextError) -> TemplateValue {
    switch base {
    case .undefined(let missing): throw failure("`\(missing)` is undefined, so it has no items")
    case .dictionary(let object):
      try charge(object.count / 8)
      if let value = object[index] { return value }
      if case .string(let name) = index { return try attribute(name, of: base) }
      return .undefined(index.text)
    case .list(let items), .tuple(let items):
      guard let place = index.integerValue else { break }
      let wrapped = place < 0 ? place + items.count : place
      return items.indices.contains(wrapped) ? items[wrapped] : .undefined("item \(place)")
    case .string(let text):
      guard let place = index.integerValue else { break }
      try charge(text.utf8.count / 8)
      let scalars = Array(text.unicodeScalars)
      let wrapped = place < 0 ? place + scalars.count : place
      return scalars.indices.contains(wrapped) ? .string(String(scalars[wrapped])) : .undefined("item \(place)")
    default: break
    }
    if case .string(let name) = index { return try attribute(name, of: base) }
    return .undefined(index.text)
  }

  private func slice(
    _ base: TemplateExpression, _ from: TemplateExpression?, _ to: TemplateExpression?, _ step: TemplateExpression?,
    _ scope: TemplateScope
  ) throws(TextError) -> TemplateValue {
    let value = try evaluate(base, scope)
    func bound(_ expression: TemplateExpression?) throws(TextError) -> Int? {
      guard let expression else { return nil }
      let value = try evaluate(expression, scope)
      if value.isNone { return nil }
      guard let number = value.integerValue else { throw failure("a slice needs whole numbers, not \(value.kindName)") }
      return number
    }
    let low = try bound(from)
    let high = try bound(to)
    let stride = try bound(step) ?? 1
    if stride == 0 { throw failure("the step of a slice must not be zero") }
    switch value {
    case .string(let text):
      let scalars = Array(text.unicodeScalars)
      var result = String.UnicodeScalarView()
      for place in Self.places(low, high, stride, count: scalars.count) { result.append(scalars[place]) }
      return try charged(String(result))
    case .list(let items), .tuple(let items):
      try charge(items.count)
      let kept = Self.places(low, high, stride, count: items.count).map { items[$0] }
      if case .tuple = value { return .tuple(kept) }
      return .list(kept)
    case .undefined(let name): throw failure("`\(name)` is undefined, so it cannot be sliced")
    default: throw failure("a value of kind \(value.kindName) cannot be sliced")
    }
  }

  /// Indices of a Python slice.
  private static func places(_ low: Int?, _ high: Int?, _ step: Int, count: Int) -> StrideTo<Int> {
    let floor = step > 0 ? 0 : -1
    let ceiling = step > 0 ? count : count - 1
    func clamp(_ bound: Int) -> Int {
      let wrapped = bound < 0 ? (bound < -count ? floor : bound + count) : bound
      return min(max(wrapped, floor), ceiling)
    }
    let start = low.map(clamp) ?? (step > 0 ? 0 : count - 1)
    let end = high.map(clamp) ?? (step > 0 ? count : -1)
    return Swift.stride(from: start, to: end, by: max(min(step, Int.max / 4), Int.min / 4))
  }

  // MARK: operators

  private func signed(_ value: TemplateValue, negative: Bool) throws(TextError) -> TemplateValue {
    if let number = value.integerValue {
      return .integer(negative ? try checked(0.subtractingReportingOverflow(number)) : number)
    }
    if let number = value.number { return .double(negative ? -number : number) }
    throw failure("a sign cannot stand before \(value.kindName)")
  }

  private func checked(_ result: (partialValue: Int, overflow: Bool)) throws(TextError) -> Int {
    if result.overflow { throw failure("a whole number does not fit 64 bits") }
    return result.partialValue
  }

  private func binary(_ operation: String, _ a: TemplateValue, _ b: TemplateValue) throws(TextError) -> TemplateValue {
    switch (operation, a, b) {
    case ("~", _, _): return try charged(a.text + b.text)
    case ("+", .string(let x), .string(let y)): return try charged(x + y)
    case ("+", .list(let x), .list(let y)):
      try charge(x.count + y.count)
      return .list(x + y)
    case ("+", .tuple(let x), .tuple(let y)):
      try charge(x.count + y.count)
      return .tuple(x + y)
    case ("*", .string(let text), _), ("*", _, .string(let text)):
      if let count = a.integerValue ?? b.integerValue { return try repeated(text, count) }
    case ("%", .string(let format), _): return try formatted(format, b)
    default: break
    }
    if let x = a.integerValue, let y = b.integerValue { return try integers(operation, x, y) }
    if let x = a.number, let y = b.number { return try doubles(operation, x, y) }
    for value in [a, b] {
      if case .undefined(let name) = value { throw failure("`\(name)` is undefined, so `\(operation)` cannot use it") }
    }
    throw failure("`\(operation)` cannot join \(a.kindName) and \(b.kindName)")
  }

  private func repeated(_ text: String, _ count: Int) throws(TextError) -> TemplateValue {
    let times = max(0, count)
    let (bytes, overflow) = times.multipliedReportingOverflow(by: text.utf8.count)
    if overflow || bytes > limits.outputBytes {
      throw TextError(code: "template_limit", message: "a repeated string is longer than \(limits.outputBytes) bytes")
    }
    return try charged(String(repeating: text, count: times))
  }

  private func integers(_ operation: String, _ x: Int, _ y: Int) throws(TextError) -> TemplateValue {
    switch operation {
    case "+": return .integer(try checked(x.addingReportingOverflow(y)))
    case "-": return .integer(try checked(x.subtractingReportingOverflow(y)))
    case "*": return .integer(try checked(x.multipliedReportingOverflow(by: y)))
    case "/":
      if y == 0 { throw failure("division by zero") }
      return .double(Double(x) / Double(y))
    case "//", "%":
      if y == 0 { throw failure("division by zero") }
      var quotient = try checked(x.dividedReportingOverflow(by: y))
      var rest = y == -1 ? 0 : x % y
      // Python rounds down, the rest has the divisor's sign.
      if rest != 0, (rest < 0) != (y < 0) {
        quotient -= 1
        rest += y
      }
      return .integer(operation == "//" ? quotient : rest)
    case "**":
      if y < 0 { return try doubles("**", Double(x), Double(y)) }
      var result = 1
      if x.magnitude > 1, y > 64 { throw failure("a whole number does not fit 64 bits") }
      for _ in 0..<(x.magnitude <= 1 ? min(y, 2 + y % 2) : y) {
        result = try checked(result.multipliedReportingOverflow(by: x))
      }
      return .integer(result)
    default: throw failure("`\(operation)` cannot join numbers")
    }
  }

  private func doubles(_ operation: String, _ x: Double, _ y: Double) throws(TextError) -> TemplateValue {
    if y == 0, ["/", "//", "%"].contains(operation) { throw failure("division by zero") }
    switch operation {
    case "+": return .double(x + y)
    case "-": return .double(x - y)
    case "*": return .double(x * y)
    case "/": return .double(x / y)
    case "//": return .double((x / y).rounded(.down))
    case "%":
      let rest = x.truncatingRemainder(dividingBy: y)
      return .double(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest)
    case "**":
      guard let power = Int(exactly: y), power.magnitude <= 1024 else {
        throw failure("`**` needs a whole, small power")
      }
      var result = 1.0
      for _ in 0..<Int(power.magnitude) { result *= x }
      return .double(power < 0 ? 1 / result : result)
    default: throw failure("`\(operation)` cannot join numbers")
    }
  }

  private func compare(
    _ first: TemplateExpression, _ rest: [(operation: String, value: TemplateExpression)], _ scope: TemplateScope
  ) throws(TextError) -> TemplateValue {
    var left = try evaluate(first, scope)
    for (operation, expression) in rest {
      let right = try evaluate(expression, scope)
      if try !holds(operation, left, right) { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  func holds(_ operation: String, _ a: TemplateValue, _ b: TemplateValue) throws(TextError) -> Bool {
    switch operation {
    case "==": return a.equals(b)
    case "!=": return !a.equals(b)
    case "in": return try contains(b, a)
    case "not in": return try !contains(b, a)
    default: break
    }
    guard let less = a.isLess(than: b), let greater = b.isLess(than: a) else {
      throw failure("\(a.kindName) and \(b.kindName) have no order")
    }
    switch operation {
    case "<": return less
    case ">": return greater
    case "<=": return less || (!greater && a.equals(b))
    default: return greater || (!less && a.equals(b))
    }
  }

  func contains(_ container: TemplateValue, _ value: TemplateValue) throws(TextError) -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let part) = value else {
        throw failure("only a string can be in a string, not \(value.kindName)")
      }
      try charge(text.utf8.count / 8)
      return TemplateText.find(part, in: text) != nil
    case .list(let items), .tuple(let items):
      try charge(items.count)
      return items.contains { $0.equals(value) }
    case .dictionary(let object):
      try charge(object.count)
      return object[value] != nil
    case .undefined: return false
    default: throw failure("`in` needs a list, a mapping or a string, not \(container.kindName)")
    }
  }
}
