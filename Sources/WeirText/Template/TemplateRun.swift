// Running a parsed template: statements.

/// Bounds of one run. A template comes from a model file or a request, so it must not be able to hang the server.
public struct TemplateLimits: Sendable {
  /// Statements and expressions evaluated, plus the sizes of the values they make.
  public var steps = 20_000_000
  public var outputBytes = 32 << 20
  /// Nested macro calls, blocks and expressions together.
  public var depth = 400
  public init() {}
}

enum TemplateFlow {
  case normal, breakLoop, continueLoop
}

/// State of one rendering.
final class TemplateRun {
  let limits: TemplateLimits
  /// Seconds since 1970 for `strftime_now`; nil: the function is not there.
  let unixTime: Int64?
  private(set) var steps = 0
  var depth = 0
  /// The text being written; blocks that capture text push their own.
  private var outputs: [String] = [""]
  private var outputBytes = 0
  private var cyclic: [() -> Void] = []

  init(limits: TemplateLimits, unixTime: Int64?) {
    self.limits = limits
    self.unixTime = unixTime
  }

  deinit { for clear in cyclic { clear() } }

  func render(_ body: [TemplateStatement], scope: TemplateScope) throws(TextError) -> String {
    _ = try execute(body, scope)
    return outputs[0]
  }

  // MARK: limits

  func charge(_ cost: Int = 1) throws(TextError) {
    steps += cost
    if steps > limits.steps {
      throw TextError(
        code: "template_limit", message: "the chat template took more than \(limits.steps) steps; it may loop for ever")
    }
  }

  /// Every made string is paid for by its length, so that doubling one cannot exhaust memory.
  func charged(_ text: String) throws(TextError) -> TemplateValue {
    try charge(text.utf8.count / 16 + 1)
    if text.utf8.count > limits.outputBytes { throw tooLong() }
    return .string(text)
  }

  private func tooLong() -> TextError {
    TextError(code: "template_limit", message: "the chat template made more than \(limits.outputBytes) bytes of text")
  }

  func enter() throws(TextError) {
    depth += 1
    if depth > limits.depth {
      throw TextError(code: "template_limit", message: "the chat template is nested deeper than \(limits.depth)")
    }
  }

  func failure(_ what: String) -> TextError { TextError(code: "template_failed", message: what) }

  /// Calls `clear` when the run ends: macros and namespaces may form circles of references.
  func breakCircle(_ clear: @escaping () -> Void) { cyclic.append(clear) }

  // MARK: output

  func write(_ text: String) throws(TextError) {
    outputBytes += text.utf8.count
    if outputBytes > limits.outputBytes { throw tooLong() }
    try charge(text.utf8.count / 16 + 1)
    outputs[outputs.count - 1] += text
  }

  func captured(_ body: [TemplateStatement], _ scope: TemplateScope) throws(TextError) -> String {
    outputs.append("")
    do {
      _ = try execute(body, scope)
    } catch {
      outputs.removeLast()
      throw error
    }
    return outputs.removeLast()
  }

  // MARK: statements

  func execute(_ body: [TemplateStatement], _ scope: TemplateScope) throws(TextError) -> TemplateFlow {
    try enter()
    defer { depth -= 1 }
    for statement in body {
      let flow: TemplateFlow
      do {
        flow = try execute(statement, scope)
      } catch {
        if error.code != "template_failed" || error.message.hasPrefix("line ") { throw error }
        throw TextError(code: error.code, message: "line \(statement.line) of the chat template: \(error.message)")
      }
      if flow != .normal { return flow }
    }
    return .normal
  }

  private func execute(_ statement: TemplateStatement, _ scope: TemplateScope) throws(TextError) -> TemplateFlow {
    try charge()
    switch statement.kind {
    case .text(let text): try write(text)
    case .output(let expression): try write(try evaluate(expression, scope).text)
    case .branches(let branches):
      for branch in branches {
        if let condition = branch.condition, try !evaluate(condition, scope).isTrue { continue }
        return try execute(branch.body, scope)
      }
    case .loop(let loop): try run(loop, scope)
    case .set(let target, let value): try assign(target, try evaluate(value, scope), scope)
    case .capture(let target, let filters, let body):
      let text = try captured(body, TemplateScope(parent: scope))
      try assign(target, try apply(filters, to: .string(text), scope), scope)
    case .macro(let macro):
      scope.set(macro.name, .macro(TemplateClosure(macro: macro, scope: scope)))
      breakCircle { scope.clear() }
    case .callBlock(let macro, let call):
      let caller = TemplateClosure(macro: macro, scope: scope)
      guard case .call(let callee, let arguments) = call else { throw failure("call needs a macro") }
      try write(try self.call(callee, arguments, caller: caller, scope).text)
    case .filterBlock(let filters, let body):
      let text = try captured(body, TemplateScope(parent: scope))
      try write(try apply(filters, to: .string(text), scope).text)
    case .with(let pairs, let body):
      let inner = TemplateScope(parent: scope)
      for pair in pairs { try assign(pair.target, try evaluate(pair.value, scope), inner) }
      return try execute(body, inner)
    case .group(let body): return try execute(body, scope)
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    }
    return .normal
  }

  private func apply(
    _ filters: [(name: String, arguments: TemplateArguments)], to value: TemplateValue, _ scope: TemplateScope
  ) throws(TextError) -> TemplateValue {
    var value = value
    for filter in filters { value = try self.filter(filter.name, value, try evaluate(filter.arguments, scope)) }
    return value
  }

  private func assign(_ target: TemplateTarget, _ value: TemplateValue, _ scope: TemplateScope) throws(TextError) {
    switch target {
    case .name(let name): scope.set(name, value)
    case .attribute(let name, let attribute):
      guard case .namespace(let space)? = scope.value(name) else {
        throw failure("`\(name).\(attribute)` cannot be set: `\(name)` is no namespace")
      }
      space.set(attribute, value)
    case .tuple(let targets):
      let items = try elements(of: value, "unpacking")
      guard items.count == targets.count else {
        throw failure("\(items.count) values cannot be unpacked into \(targets.count) names")
      }
      for (target, item) in zip(targets, items) { try assign(target, item, scope) }
    }
  }

  // MARK: loops

  private func run(_ loop: TemplateLoop, _ scope: TemplateScope) throws(TextError) {
    var items = try elements(of: try evaluate(loop.sequence, scope), "a for loop")
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for item in items {
        try charge()
        let inner = TemplateScope(parent: scope)
        try assign(loop.target, item, inner)
        if try evaluate(condition, inner).isTrue { kept.append(item) }
      }
      items = kept
    }
    if items.isEmpty {
      _ = try execute(loop.otherwise, TemplateScope(parent: scope))
      return
    }
    for (index, item) in items.enumerated() {
      try charge()
      let inner = TemplateScope(parent: scope)
      inner.set("loop", .dictionary(Self.loopFacts(items, index)))
      try assign(loop.target, item, inner)
      if try execute(loop.body, inner) == .breakLoop { return }
    }
  }

  private static func loopFacts(_ items: [TemplateValue], _ index: Int) -> TemplateDictionary {
    var facts = TemplateDictionary()
    facts.append(.string("index"), .integer(index + 1))
    facts.append(.string("index0"), .integer(index))
    facts.append(.string("first"), .bool(index == 0))
    facts.append(.string("last"), .bool(index == items.count - 1))
    facts.append(.string("length"), .integer(items.count))
    facts.append(.string("revindex"), .integer(items.count - index))
    facts.append(.string("revindex0"), .integer(items.count - index - 1))
    if index > 0 { facts.append(.string("previtem"), items[index - 1]) }
    if index + 1 < items.count { facts.append(.string("nextitem"), items[index + 1]) }
    return facts
  }

  /// What iterating over a value yields.
  func elements(of value: TemplateValue, _ purpose: String) throws(TextError) -> [TemplateValue] {
    switch value {
    case .list(let items), .tuple(let items): return items
    case .dictionary(let object): return object.keys
    case .string(let text):
      try charge(text.utf8.count)
      return text.unicodeScalars.map { .string(String($0)) }
    case .undefined: return []
    default: throw failure("\(purpose) needs a list, not \(value.kindName)")
    }
  }
}
