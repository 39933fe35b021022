// Tests: `value is name(arguments)`.

extension TemplateRun {
  func test(_ name: String, _ value: TemplateValue, _ inputs: TemplateInputs) throws(TextError) -> Bool {
    if let answer = kindTest(name, value) { return answer }
    switch name {
    case "odd", "even":
      guard let number = value.integerValue else { throw failure("`\(name)` needs a whole number") }
      return (number % 2 == 0) == (name == "even")
    case "divisibleby":
      guard let number = value.integerValue, let divisor = inputs.value(0, "num")?.integerValue, divisor != 0 else {
        throw failure("divisibleby needs two whole numbers, the second not zero")
      }
      return divisor == -1 || number % divisor == 0
    case "lower":
      let text = value.text
      return text == text.lowercased() && text != text.uppercased()
    case "upper":
      let text = value.text
      return text == text.uppercased() && text != text.lowercased()
    default: break
    }
    guard let operation = Self.comparisons[name] else { throw failure("the test `\(name)` is not supported") }
    guard let other = inputs.value(0, "other") else { throw failure("the test `\(name)` needs an argument") }
    return try holds(operation, value, other)
  }

  private static let comparisons: [String: String] = [
    "equalto": "==", "eq": "==", "sameas": "==", "ne": "!=", "lt": "<", "lessthan": "<", "gt": ">", "greaterthan": ">",
    "le": "<=", "ge": ">=", "in": "in",
  ]

  private func kindTest(_ name: String, _ value: TemplateValue) -> Bool? {
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "none": return value.isNone
    case "string": if case .string = value { return true } else { return false }
    case "mapping": if case .dictionary = value { return true } else { return false }
    case "boolean": if case .bool = value { return true } else { return false }
    case "true": if case .bool(true) = value { return true } else { return false }
    case "false": if case .bool(false) = value { return true } else { return false }
    case "integer": if case .integer = value { return true } else { return false }
    case "float": if case .double = value { return true } else { return false }
    case "number": return value.number != nil
    case "iterable", "sequence":
      switch value {
      case .undefined, .string, .list, .tuple, .dictionary: return true
      default: return false
      }
    case "callable":
      switch value {
      case .macro, .function, .method: return true
      default: return false
      }
    default: return nil
    }
  }
}
