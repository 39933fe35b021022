// Running a parsed template: macros and global functions.

extension TemplateRun {
  func call(
    _ callee: TemplateExpression, _ arguments: TemplateArguments, caller: TemplateClosure?, _ scope: TemplateScope
  ) throws(TextError) -> TemplateValue {
    let target = try evaluate(callee, scope)
    let inputs = try evaluate(arguments, scope)
    switch target {
    case .macro(let closure): return try call(closure, inputs, caller: caller)
    case .method(let box, let name): return try method(name, of: box.value, inputs)
    case .function(let name): return try function(name, inputs)
    case .undefined(let name): throw failure("`\(name)` is undefined, so it cannot be called")
    default: throw failure("a value of kind \(target.kindName) cannot be called")
    }
  }

  private func call(_ closure: TemplateClosure, _ inputs: TemplateInputs, caller: TemplateClosure?) throws(TextError)
    -> TemplateValue
  {
    let macro = closure.macro
    let scope = TemplateScope(parent: closure.scope)
    for (index, parameter) in macro.parameters.enumerated() {
      if let given = inputs.value(index, parameter.name) {
        scope.set(parameter.name, given)
      } else if let fallback = parameter.fallback {
        scope.set(parameter.name, try evaluate(fallback, scope))
      } else {
        scope.set(parameter.name, .undefined(parameter.name))
      }
    }
    scope.set("varargs", .tuple(Array(inputs.positional.dropFirst(macro.parameters.count))))
    let known = Set(macro.parameters.map(\.name))
    var rest = TemplateDictionary()
    for (name, value) in inputs.named where !known.contains(name) { rest.set(.string(name), value) }
    scope.set("kwargs", .dictionary(rest))
    if let caller { scope.set("caller", .macro(caller)) }
    return try charged(try captured(macro.body, scope))
  }

  private func function(_ name: String, _ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    switch name {
    case "raise_exception":
      throw TextError(code: "template_raised", message: inputs.value(0, "message")?.text ?? "")
    case "namespace", "dict":
      var result = TemplateDictionary()
      for value in inputs.positional {
        if case .dictionary(let object) = value {
          for (key, value) in zip(object.keys, object.values) { result.set(key, value) }
        }
      }
      for (key, value) in inputs.named { result.set(.string(key), value) }
      if name == "dict" { return .dictionary(result) }
      let space = TemplateNamespace()
      for (key, value) in zip(result.keys, result.values) { space.set(key.text, value) }
      breakCircle { space.clear() }
      return .namespace(space)
    case "range": return try range(inputs)
    case "strftime_now":
      guard let unixTime, case .string(let format)? = inputs.value(0, "format") else {
        throw failure("strftime_now needs a format")
      }
      return try charged(CivilTime(unixTime: unixTime).formatted(format))
    default: throw failure("`\(name)` cannot be called")
    }
  }

  private func range(_ inputs: TemplateInputs) throws(TextError) -> TemplateValue {
    let numbers = inputs.positional.compactMap(\.integerValue)
    guard numbers.count == inputs.positional.count, (1...3).contains(numbers.count) else {
      throw failure("range needs one to three whole numbers")
    }
    let start = numbers.count > 1 ? numbers[0] : 0
    let end = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    if step == 0 { throw failure("the step of a range must not be zero") }
    let span = step > 0 ? end.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(end)
    let length = span.overflow ? Int.max : max(0, span.partialValue)
    let stride = Int(clamping: step.magnitude)
    let count = length / stride + (length % stride > 0 ? 1 : 0)
    if count > 100_000 {
      throw TextError(code: "template_limit", message: "a range has more than 100000 numbers")
    }
    try charge(count)
    return .list((0..<count).map { .integer(start + $0 * step) })
  }
}

/// A moment in UTC, cut into calendar fields.
struct CivilTime {
  let year, month, day, hour, minute, second, weekday, dayOfYear: Int

  /// Days to civil date after Hinnant's algorithm (eras of 400 years beginning in March).
  init(unixTime: Int64) {
    let clamped = min(max(unixTime, -62_135_596_800), 253_402_300_799)
    let total = Int(clamped)
    let days = Int((Double(total) / 86_400).rounded(.down))
    let rest = total - days * 86_400
    (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
    weekday = ((days + 4) % 7 + 7) % 7
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayFromMarch = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayFromMarch + 2) / 153
    day = dayFromMarch - (153 * shiftedMonth + 2) / 5 + 1
    month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
    dayOfYear = before[month - 1] + day + (isLeap && month > 2 ? 1 : 0)
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
  ]
  private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

  /// `strftime` in the C locale; an unknown directive stays as it is.
  func formatted(_ format: String) -> String {
    var result = ""
    var isDirective = false
    for character in format {
      if !isDirective {
        if character == "%" { isDirective = true } else { result.append(character) }
        continue
      }
      isDirective = false
      result += field(character) ?? "%\(character)"
    }
    return isDirective ? result + "%" : result
  }

  private func field(_ directive: Character) -> String? {
    func padded(_ value: Int, _ width: Int = 2) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    switch directive {
    case "Y": return padded(year, 4)
    case "y": return padded(year % 100)
    case "m": return padded(month)
    case "d": return padded(day)
    case "e": return (day < 10 ? " " : "") + String(day)
    case "H": return padded(hour)
    case "I": return padded(hour % 12 == 0 ? 12 : hour % 12)
    case "M": return padded(minute)
    case "S": return padded(second)
    case "p": return hour < 12 ? "AM" : "PM"
    case "B": return Self.months[month - 1]
    case "b", "h": return String(Self.months[month - 1].prefix(3))
    case "A": return Self.weekdays[weekday]
    case "a": return String(Self.weekdays[weekday].prefix(3))
    case "j": return padded(dayOfYear, 3)
    case "F": return "\(padded(year, 4))-\(padded(month))-\(padded(day))"
    case "T": return "\(padded(hour)):\(padded(minute)):\(padded(second))"
    case "w": return String(weekday)
    case "Z": return "UTC"
    case "z": return "+0000"
    case "%": return "%"
    default: return nil
    }
  }
}
