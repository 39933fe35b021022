// The parsed form of a template.

indirect enum TemplateExpression: Sendable {
  case literal(TemplateValue)
  case name(String)
  case list([TemplateExpression])
  case tuple([TemplateExpression])
  case dictionary([(key: TemplateExpression, value: TemplateExpression)])
  /// `a.b`
  case attribute(TemplateExpression, String)
  /// `a[b]`
  case item(TemplateExpression, TemplateExpression)
  /// `a[from:to:step]`
  case slice(TemplateExpression, TemplateExpression?, TemplateExpression?, TemplateExpression?)
  case call(TemplateExpression, TemplateArguments)
  case filter(TemplateExpression, String, TemplateArguments)
  case test(TemplateExpression, String, TemplateArguments)
  case negate(TemplateExpression)
  case plus(TemplateExpression)
  case not(TemplateExpression)
  case and(TemplateExpression, TemplateExpression)
  case or(TemplateExpression, TemplateExpression)
  /// `+ - * / // % ** ~`
  case binary(String, TemplateExpression, TemplateExpression)
  /// `a < b <= c`: all must hold.
  case compare(TemplateExpression, [(operation: String, value: TemplateExpression)])
  /// `value if condition else other`
  case conditional(TemplateExpression, condition: TemplateExpression, other: TemplateExpression?)
}

struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
}

/// What `set` and `for` assign to.
indirect enum TemplateTarget: Sendable {
  case name(String)
  /// `namespace.attribute`
  case attribute(String, String)
  case tuple([TemplateTarget])
}

struct TemplateParameter: Sendable {
  var name: String
  var fallback: TemplateExpression?
}

/// A macro's or call block's own part.
struct TemplateMacro: Sendable {
  var name: String
  var parameters: [TemplateParameter]
  var body: [TemplateStatement]
}

struct TemplateLoop: Sendable {
  var target: TemplateTarget
  var sequence: TemplateExpression
  var condition: TemplateExpression?
  var body: [TemplateStatement]
  var otherwise: [TemplateStatement]
}

struct TemplateStatement: Sendable {
  indirect enum Kind: Sendable {
    case text(String)
    case output(TemplateExpression)
    case branches([(condition: TemplateExpression?, body: [TemplateStatement])])
    case loop(TemplateLoop)
    case set(TemplateTarget, TemplateExpression)
    /// `{% set name %}...{% endset %}`, with filters.
    case capture(TemplateTarget, filters: [(name: String, arguments: TemplateArguments)], [TemplateStatement])
    case macro(TemplateMacro)
    case callBlock(TemplateMacro, TemplateExpression)
    case filterBlock([(name: String, arguments: TemplateArguments)], [TemplateStatement])
    case with([(target: TemplateTarget, value: TemplateExpression)], [TemplateStatement])
    /// A block that changes nothing (`generation`).
    case group([TemplateStatement])
    case breakLoop
    case continueLoop
  }

  var kind: Kind
  var line: Int
}
