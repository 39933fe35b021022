// Python's string operations, by Unicode scalar.

enum TemplateText {
  typealias Scalars = [Unicode.Scalar]

  /// Python's notion of white space.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (scalar.value >= 0x1C && scalar.value <= 0x1F)
  }

  static func string(_ scalars: some Sequence<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    for scalar in scalars { view.append(scalar) }
    return String(view)
  }

  /// Strips from the ends what `characters` holds, white space if nil.
  static func strip(_ text: String, _ characters: String?, left: Bool = true, right: Bool = true) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? isSpace(scalar) }
    var slice = text.unicodeScalars[...]
    if left { slice = slice.drop(while: goes) }
    if right { while let last = slice.last, goes(last) { slice.removeLast() } }
    return String(slice)
  }

  /// Byte offset of the first occurrence.
  static func find(_ part: String, in text: String, from: Int = 0) -> Int? {
    let needle = Array(part.utf8)
    let bytes = Array(text.utf8)
    return find(needle, in: bytes, from: from)
  }

  static func find(_ needle: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
    if needle.isEmpty { return from <= bytes.count ? from : nil }
    guard bytes.count >= needle.count else { return nil }
    var i = from
    while i <= bytes.count - needle.count {
      if bytes[i] == needle[0], bytes[i..<(i + needle.count)].elementsEqual(needle) { return i }
      i += 1
    }
    return nil
  }

  static func replace(_ text: String, _ old: String, with new: String, count: Int?) -> String {
    let limit = count.map { $0 < 0 ? Int.max : $0 } ?? Int.max
    if old.isEmpty { return interleave(text, new, limit: limit) }
    let bytes = Array(text.utf8)
    let needle = Array(old.utf8)
    var result: [UInt8] = []
    var rest = 0
    var done = 0
    while done < limit, let found = find(needle, in: bytes, from: rest) {
      result += bytes[rest..<found]
      result += new.utf8
      rest = found + needle.count
      done += 1
    }
    result += bytes[rest...]
    return String(decoding: result, as: UTF8.self)
  }

  /// Replacing "": `new` before every character and at the end.
  private static func interleave(_ text: String, _ new: String, limit: Int) -> String {
    var result = ""
    var done = 0
    for scalar in text.unicodeScalars {
      if done < limit { result += new }
      done += 1
      result.unicodeScalars.append(scalar)
    }
    return done < limit ? result + new : result
  }

  /// Python's `split`.
  static func split(_ text: String, _ separator: String?, limit: Int, fromRight: Bool = false) -> [String] {
    guard let separator else { return splitSpaces(text, limit: limit, fromRight: fromRight) }
    let bytes = Array(text.utf8)
    let needle = Array(separator.utf8)
    var places: [Int] = []
    var from = 0
    while let found = find(needle, in: bytes, from: from) {
      places.append(found)
      from = found + needle.count
    }
    if limit >= 0, places.count > limit {
      places = fromRight ? Array(places.suffix(limit)) : Array(places.prefix(limit))
    }
    var result: [String] = []
    var start = 0
    for place in places {
      result.append(String(decoding: bytes[start..<place], as: UTF8.self))
      start = place + needle.count
    }
    result.append(String(decoding: bytes[start...], as: UTF8.self))
    return result
  }

  private static func splitSpaces(_ text: String, limit: Int, fromRight: Bool) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var words: [Range<Int>] = []
    var i = 0
    while i < scalars.count {
      while i < scalars.count, isSpace(scalars[i]) { i += 1 }
      let start = i
      while i < scalars.count, !isSpace(scalars[i]) { i += 1 }
      if i > start { words.append(start..<i) }
    }
    guard limit >= 0, words.count > limit else { return words.map { string(scalars[$0]) } }
    if fromRight {
      let tail = words.suffix(limit).map { string(scalars[$0]) }
      return [string(scalars[words[0].lowerBound..<words[words.count - limit - 1].upperBound])] + tail
    }
    let head = words.prefix(limit).map { string(scalars[$0]) }
    return head + [strip(string(scalars[words[limit].lowerBound...]), nil, left: false)]
  }

  static func lines(_ text: String) -> [String] {
    var result: [String] = []
    var line = String.UnicodeScalarView()
    var previousWasReturn = false
    var isOpen = false
    for scalar in text.unicodeScalars {
      if scalar == "\n", previousWasReturn {
        previousWasReturn = false
        continue
      }
      previousWasReturn = scalar == "\r"
      let ends: Set<UInt32> = [10, 11, 12, 13, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029]
      if ends.contains(scalar.value) {
        result.append(String(line))
        line = String.UnicodeScalarView()
        isOpen = false
      } else {
        line.append(scalar)
        isOpen = true
      }
    }
    if isOpen { result.append(String(line)) }
    return result
  }

  static func capitalised(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// Python's `str.title`: a letter after a non-letter is a capital.
  static func titled(_ text: String) -> String {
    var result = ""
    var afterLetter = false
    for scalar in text.unicodeScalars {
      result += afterLetter ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      afterLetter = scalar.properties.isCased
    }
    return result
  }

  /// Jinja's `title` filter: words begin after white space, hyphens and opening brackets.
  static func titledWords(_ text: String) -> String {
    var result = ""
    var startsWord = true
    for scalar in text.unicodeScalars {
      result += startsWord ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
      startsWord = isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar)
    }
    return result
  }

  /// Jinja's `indent`: every line but the first, and no blank lines unless asked.
  static func indented(_ text: String, by prefix: String, first: Bool, blank: Bool) -> String {
    let all = lines(text + "\n")
    var result = ""
    for (number, line) in all.enumerated() {
      if number > 0 { result += "\n" }
      let isIndented = number == 0 ? first : blank || !line.isEmpty
      result += (isIndented ? prefix : "") + line
    }
    return result
  }

  /// A count of characters as Python's `len` gives it.
  static func length(_ text: String) -> Int { text.unicodeScalars.count }

  static func escaped(_ text: String) -> String {
    let names: [Unicode.Scalar: String] = ["&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", "\"": "&#34;"]
    var result = ""
    for scalar in text.unicodeScalars {
      if let name = names[scalar] { result += name } else { result.unicodeScalars.append(scalar) }
    }
    return result
  }
}
