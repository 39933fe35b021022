// Names while a template runs.
import Synchronization

/// Variables of a block; reading looks outwards. One run of a template owns its scopes, nothing else sees them.
final class TemplateScope: Sendable {
  private let variables = Mutex<[String: TemplateValue]>([:])
  let parent: TemplateScope?

  init(parent: TemplateScope?) { self.parent = parent }

  func set(_ name: String, _ value: TemplateValue) { variables.withLock { $0[name] = value } }

  /// Breaks the circle of a scope that holds a macro that holds the scope.
  func clear() { variables.withLock { $0 = [:] } }

  func value(_ name: String) -> TemplateValue? {
    var scope: TemplateScope? = self
    while let current = scope {
      if let found = current.variables.withLock({ $0[name] }) { return found }
      scope = current.parent
    }
    return nil
  }
}

/// The one value that can be changed: it carries results out of loops.
final class TemplateNamespace: Sendable {
  private let variables = Mutex<[String: TemplateValue]>([:])

  func set(_ name: String, _ value: TemplateValue) { variables.withLock { $0[name] = value } }
  func value(_ name: String) -> TemplateValue? { variables.withLock { $0[name] } }
  func clear() { variables.withLock { $0 = [:] } }
}

/// A macro with the names it can see.
final class TemplateClosure: Sendable {
  let macro: TemplateMacro
  let scope: TemplateScope

  init(macro: TemplateMacro, scope: TemplateScope) {
    self.macro = macro
    self.scope = scope
  }
}
