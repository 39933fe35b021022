// Tags to statements.

/// Recursive descent over the parts of a template; depth is limited.
struct TemplateParser {
  private let parts: [TemplatePart]
  private var place = 0
  /// Tokens of the tag being read.
  var tokens: [TemplateToken] = []
  var at = 0
  var line = 1
  var depth = 0
  private var loops = 0

  static let depthMax = 100

  init(source: String) throws(TextError) {
    var lexer = TemplateLexer(source)
    parts = try lexer.cut()
  }

  mutating func parse() throws(TextError) -> [TemplateStatement] {
    let (body, end) = try statements(until: [])
    guard end == nil else { throw failure("`\(end ?? "")` closes nothing that is open") }
    return body
  }

  /// Statements up to a block tag whose first word is in `ends`; that tag is open for reading afterwards.
  mutating func statements(until ends: Set<String>) throws(TextError) -> ([TemplateStatement], String?) {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.depthMax { throw failure("blocks are nested deeper than \(Self.depthMax)") }
    var body: [TemplateStatement] = []
    while place < parts.count {
      let part = parts[place]
      place += 1
      switch part {
      case .text(let text): body.append(TemplateStatement(kind: .text(text), line: line))
      case .output(let list, let line):
        open(list, line)
        let expression = try tupleOrExpression()
        try endTag()
        body.append(TemplateStatement(kind: .output(expression), line: line))
      case .block(let list, let line):
        open(list, line)
        let word = try name()
        if ends.contains(word) { return (body, word) }
        body.append(TemplateStatement(kind: try block(word), line: line))
      }
    }
    if let wanted = ends.sorted().first { throw failure("the template ends where `\(wanted)` was expected") }
    return (body, nil)
  }

  private mutating func open(_ list: [TemplateToken], _ line: Int) {
    tokens = list
    at = 0
    self.line = line
  }

  /// The body up to `end`, whose tag must hold nothing more.
  private mutating func body(until end: String) throws(TextError) -> [TemplateStatement] {
    let (body, _) = try statements(until: [end])
    try endTag()
    return body
  }

  private mutating func block(_ word: String) throws(TextError) -> TemplateStatement.Kind {
    switch word {
    case "if": return try branches()
    case "for": return try loop()
    case "set": return try assignment()
    case "macro":
      let macro = try macroHead()
      return .macro(
        TemplateMacro(name: macro.name, parameters: macro.parameters, body: try outsideLoops("endmacro")))
    case "call": return try callBlock()
    case "filter":
      let filters = try filterChain(startsWithBar: false)
      try endTag()
      return .filterBlock(filters, try body(until: "endfilter"))
    case "with": return try with()
    case "generation":
      try endTag()
      return .group(try body(until: "endgeneration"))
    case "break", "continue":
      guard loops > 0 else { throw failure("`\(word)` stands outside a loop") }
      try endTag()
      return word == "break" ? .breakLoop : .continueLoop
    default: throw failure("the tag `\(word)` is not supported")
    }
  }

  private mutating func outsideLoops(_ end: String) throws(TextError) -> [TemplateStatement] {
    let outer = loops
    loops = 0
    defer { loops = outer }
    return try body(until: end)
  }

  private mutating func branches() throws(TextError) -> TemplateStatement.Kind {
    var result: [(condition: TemplateExpression?, body: [TemplateStatement])] = []
    var condition: TemplateExpression? = try tupleOrExpression(allowsConditional: true)
    try endTag()
    while true {
      let (body, end) = try statements(until: condition == nil ? ["endif"] : ["elif", "else", "endif"])
      result.append((condition, body))
      switch end {
      case "elif": condition = try tupleOrExpression()
      case "else": condition = nil
      default:
        try endTag()
        return .branches(result)
      }
      try endTag()
    }
  }

  private mutating func loop() throws(TextError) -> TemplateStatement.Kind {
    let target = try target(allowsAttribute: false)
    try expectName("in")
    let sequence = try tupleOrExpression(allowsConditional: false)
    let condition = takeName("if") ? try expression() : nil
    if takeName("recursive") { throw failure("recursive loops are not supported") }
    try endTag()
    loops += 1
    let (body, end) = try statements(until: ["else", "endfor"])
    loops -= 1
    try endTag()
    let otherwise = end == "else" ? try self.body(until: "endfor") : []
    return .loop(
      TemplateLoop(target: target, sequence: sequence, condition: condition, body: body, otherwise: otherwise))
  }

  private mutating func assignment() throws(TextError) -> TemplateStatement.Kind {
    let target = try target(allowsAttribute: true)
    if takeSymbol("=") {
      let value = try tupleOrExpression()
      try endTag()
      return .set(target, value)
    }
    let filters = takeSymbol("|") ? try filterChain(startsWithBar: false) : []
    try endTag()
    return .capture(target, filters: filters, try body(until: "endset"))
  }

  private mutating func with() throws(TextError) -> TemplateStatement.Kind {
    var pairs: [(target: TemplateTarget, value: TemplateExpression)] = []
    while at < tokens.count {
      if !pairs.isEmpty { try expectSymbol(",") }
      let target = try singleTarget(allowsAttribute: false)
      try expectSymbol("=")
      pairs.append((target, try expression()))
    }
    try endTag()
    return .with(pairs, try body(until: "endwith"))
  }

  private mutating func macroHead() throws(TextError) -> (name: String, parameters: [TemplateParameter]) {
    let name = try name()
    let parameters = try parameters()
    try endTag()
    return (name, parameters)
  }

  private mutating func parameters() throws(TextError) -> [TemplateParameter] {
    try expectSymbol("(")
    var list: [TemplateParameter] = []
    while !takeSymbol(")") {
      if !list.isEmpty { try expectSymbol(",") }
      if takeSymbol(")") { break }
      let name = try name()
      list.append(TemplateParameter(name: name, fallback: takeSymbol("=") ? try expression() : nil))
    }
    return list
  }

  private mutating func callBlock() throws(TextError) -> TemplateStatement.Kind {
    let parameters = peekSymbol("(") ? try parameters() : []
    let call = try expression()
    guard case .call = call else { throw failure("`call` needs a call of a macro") }
    try endTag()
    let body = try outsideLoops("endcall")
    return .callBlock(TemplateMacro(name: "caller", parameters: parameters, body: body), call)
  }

  private mutating func target(allowsAttribute: Bool) throws(TextError) -> TemplateTarget {
    var list = [try singleTarget(allowsAttribute: allowsAttribute)]
    var isTuple = false
    while takeSymbol(",") {
      isTuple = true
      if peekName("in") || peekSymbol("=") { break }
      list.append(try singleTarget(allowsAttribute: allowsAttribute))
    }
    return isTuple ? .tuple(list) : list[0]
  }

  private mutating func singleTarget(allowsAttribute: Bool) throws(TextError) -> TemplateTarget {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.depthMax { throw failure("names are nested deeper than \(Self.depthMax)") }
    if takeSymbol("(") {
      let inner = try target(allowsAttribute: allowsAttribute)
      try expectSymbol(")")
      return inner
    }
    let word = try name()
    if Self.constants.contains(word) { throw failure("`\(word)` cannot be assigned to") }
    if allowsAttribute, takeSymbol(".") { return .attribute(word, try name()) }
    return .name(word)
  }

  static let constants: Set<String> = ["true", "false", "none", "True", "False", "None"]

  // MARK: tokens

  func failure(_ what: String) -> TextError {
    TextError(code: "template_syntax", message: "line \(line) of the chat template: \(what)")
  }

  var current: TemplateToken? { at < tokens.count ? tokens[at] : nil }

  func peekSymbol(_ symbol: String) -> Bool { current == .symbol(symbol) }
  func peekName(_ name: String) -> Bool { current == .name(name) }

  mutating func takeSymbol(_ symbol: String) -> Bool {
    guard peekSymbol(symbol) else { return false }
    at += 1
    return true
  }

  mutating func takeName(_ name: String) -> Bool {
    guard peekName(name) else { return false }
    at += 1
    return true
  }

  mutating func name() throws(TextError) -> String {
    guard case .name(let word)? = current else { throw failure("a name was expected, found \(shown(current))") }
    at += 1
    return word
  }

  mutating func expectSymbol(_ symbol: String) throws(TextError) {
    if !takeSymbol(symbol) { throw failure("`\(symbol)` was expected, found \(shown(current))") }
  }

  mutating func expectName(_ name: String) throws(TextError) {
    if !takeName(name) { throw failure("`\(name)` was expected, found \(shown(current))") }
  }

  func endTag() throws(TextError) {
    if at < tokens.count { throw failure("the tag should end before \(shown(current))") }
  }

  func shown(_ token: TemplateToken?) -> String {
    switch token {
    case nil: "the end of the tag"
    case .name(let text), .symbol(let text): "`\(text)`"
    case .string(let text): "the string \"\(text.prefix(40))\""
    case .integer(let value): "`\(value)`"
    case .float(let value): "`\(value)`"
    }
  }
}
