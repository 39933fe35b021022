// The hand-written scanners behind `SplitRule`: where does a match that begins here end?

/// Scans one piece of a text. All positions are scalar indices; `end` bounds every look ahead.
struct WordScanner {
  let text: ScalarText
  let end: Int

  /// End of the rule's match at `i`; `i` itself when there is none.
  @inline(__always)
  func end(of rule: SplitRule, at i: Int) -> Int {
    switch rule {
    case .gpt2: gpt2(i)
    case .llama3(let digits): llama3(i, digits: digits)
    default: otherEnd(of: rule, at: i)
    }
  }

  private func otherEnd(of rule: SplitRule, at i: Int) -> Int {
    switch rule {
    case .gpt2: gpt2(i)
    case .llama3(let digits): llama3(i, digits: digits)
    case .gpt4o: gpt4o(i)
    case .tekken: tekken(i)
    case .deepseek3: deepseek3(i)
    case .numbers(let limit): run(of: .number, from: i, limit: limit == 0 ? .max : limit)
    case .threeDigits: threeDigits(i)
    case .newline: isNewline(i) ? i + 1 : i
    case .spacedLetters: spaced(i) { has($0, .letter) }
    case .spacedPunctuation: spaced(i) { has($0, .punctuation) }
    case .spacedCasedLetters: spaced(i) { CasedLetters.contains(text.values[$0]) }
    case .spacedWideASCIISymbols: spaced(i) { Self.isWideASCIISymbol(text.values[$0]) }
    case .trailingSpace: trailingSpace(i)
    case .eastAsian: run(from: i) { Self.isEastAsian(text.values[$0]) }
    case .hanKana: run(from: i) { Self.isHanKana(text.values[$0]) }
    case .punctuation(let backQuote):
      run(from: i) { has($0, .punctuation) || Self.isSymbolOfFalcon(text.values[$0], backQuote: backQuote) }
    case .punctuationMarks(let contiguous):
      run(from: i, limit: contiguous ? .max : 1) { has($0, .punctuation) || Self.isASCIISymbol(text.values[$0]) }
    case .bloom: bloom(i)
    case .wordsOrSymbols: wordOrSymbols(i)
    case .unspaced: run(from: i) { !has($0, .space) }
    case .spaceRuns: run(from: run(from: i) { text.values[$0] == 0x2581 }) { text.values[$0] != 0x2581 }
    case .spaceMarked: run(from: i + 1) { text.values[$0] != 0x2581 }
    }
  }

  // MARK: pieces of patterns

  @inline(__always) func has(_ i: Int, _ kinds: ScalarClass) -> Bool { !text.classes[i].isDisjoint(with: kinds) }

  @inline(__always) func isNewline(_ i: Int) -> Bool { text.values[i] == 10 || text.values[i] == 13 }

  @inline(__always)
  func run(of kinds: ScalarClass, from start: Int, limit: Int = .max) -> Int {
    let stop = limit < end - start ? start + limit : end
    var i = start
    while i < stop, has(i, kinds) { i += 1 }
    return i
  }

  @inline(__always)
  func run(from start: Int, limit: Int = .max, while accepts: (Int) -> Bool) -> Int {
    let stop = limit < end - start ? start + limit : end
    var i = start
    while i < stop, accepts(i) { i += 1 }
    return i
  }

  /// `\s?X+`
  func spaced(_ i: Int, _ accepts: (Int) -> Bool) -> Int {
    let first = has(i, .space) ? i + 1 : i
    let stop = run(from: first, while: accepts)
    if stop > first { return stop }
    // The optional space may itself be in the set (the ideographic space is).
    return first > i && accepts(i) ? run(from: i, while: accepts) : i
  }

  /// `\s+(?!\S)|\s+`: a run of white space without its last scalar when a word follows.
  @inline(__always)
  func spaces(_ i: Int) -> Int {
    let stop = run(of: .space, from: i)
    return stop < end && stop - i > 1 ? stop - 1 : stop
  }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`
  @inline(__always)
  func linesOrSpaces(_ i: Int) -> Int {
    let stop = run(of: .space, from: i)
    var k = stop
    while k > i {
      if isNewline(k - 1) { return k }
      k -= 1
    }
    return stop < end && stop - i > 1 ? stop - 1 : stop
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d`; `i` is the apostrophe's place. Any case when `anyCase`.
  @inline(__always)
  func contraction(_ i: Int, anyCase: Bool) -> Int {
    guard text.values[i] == 0x27, i + 1 < end else { return i }
    let fold: UInt32 = anyCase ? 0x20 : 0
    let first = letter(i + 1, fold)
    if first == 0x73 || first == 0x74 || first == 0x6D || first == 0x64 { return i + 2 }
    guard i + 2 < end else { return i }
    let second = letter(i + 2, fold)
    let isPair =
      (first == 0x72 && second == 0x65) || (first == 0x76 && second == 0x65) || (first == 0x6C && second == 0x6C)
    return isPair ? i + 3 : i
  }

  @inline(__always)
  private func letter(_ i: Int, _ fold: UInt32) -> UInt32 {
    let value = text.values[i]
    return value >= 0x41 && value <= 0x5A ? value | fold : value
  }

  // MARK: whole patterns

  @inline(__always)
  func gpt2(_ i: Int) -> Int {
    let short = contraction(i, anyCase: false)
    if short > i { return short }
    let start = text.values[i] == 0x20 && i + 1 < end ? i + 1 : i
    let kinds = text.classes[start]
    if kinds.contains(.letter) { return run(of: .letter, from: start) }
    if kinds.contains(.number) { return run(of: .number, from: start) }
    if !kinds.contains(.space) { return run(from: start) { !has($0, [.letter, .number, .space]) } }
    return spaces(i)
  }

  @inline(__always)
  func llama3(_ i: Int, digits: Int) -> Int {
    let short = contraction(i, anyCase: true)
    if short > i { return short }
    let kinds = text.classes[i]
    if kinds.contains(.letter) { return run(of: .letter, from: i) }
    if kinds.contains(.number) { return run(of: .number, from: i, limit: digits) }
    if !isNewline(i), i + 1 < end, has(i + 1, .letter) { return run(of: .letter, from: i + 1) }
    return symbolsOrSpaces(i, newlines: true, slash: false)
  }

  /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, with `/` also swallowed after the symbols if `slash`.
  @inline(__always)
  func symbolsOrSpaces(_ i: Int, newlines: Bool, slash: Bool) -> Int {
    let start = text.values[i] == 0x20 ? i + 1 : i
    if start < end, !has(start, [.letter, .number, .space]) {
      let stop = run(from: start) { !has($0, [.letter, .number, .space]) }
      return run(from: stop) { isNewline($0) || (slash && text.values[$0] == 0x2F) }
    }
    return linesOrSpaces(i)
  }

  func gpt4o(_ i: Int) -> Int {
    let word = casedWord(i, marks: true)
    if word > i {
      return word < end ? contraction(word, anyCase: true) : word
    }
    if has(i, .number) { return run(of: .number, from: i, limit: 3) }
    return symbolsOrSpaces(i, newlines: true, slash: true)
  }

  func tekken(_ i: Int) -> Int {
    let word = casedWord(i, marks: false)
    if word > i { return word }
    if has(i, .number) { return i + 1 }
    return symbolsOrSpaces(i, newlines: true, slash: true)
  }

  /// `X?U*L+` or else `X?U+L*`, where X is no newline, letter or number. Uncased letters (and marks) are in U and L.
  private func casedWord(_ i: Int, marks: Bool) -> Int {
    let letters: ScalarClass = marks ? [.letter, .mark] : .letter
    let hasLead = !isNewline(i) && !has(i, [.letter, .number])
    if hasLead {
      let stop = capitalised(i + 1, letters)
      if stop > i + 1 { return stop }
    }
    let bare = capitalised(i, letters)
    if bare > i { return bare }
    if hasLead {
      let stop = run(from: i + 1) { has($0, letters) && !text.classes[$0].contains(.lower) }
      if stop > i + 1 { return stop }
    }
    return run(from: i) { has($0, letters) && !text.classes[$0].contains(.lower) }
  }

  /// `U*L+`
  private func capitalised(_ i: Int, _ letters: ScalarClass) -> Int {
    let upperEnd = run(from: i) { has($0, letters) && !text.classes[$0].contains(.lower) }
    let lowerEnd = run(from: upperEnd) { has($0, letters) && !text.classes[$0].contains(.upper) }
    if lowerEnd > upperEnd { return lowerEnd }
    // U* gives back letters until one that L accepts: the last uncased one.
    var k = upperEnd
    while k > i, text.classes[k - 1].contains(.upper) { k -= 1 }
    return k
  }

  func deepseek3(_ i: Int) -> Int {
    let value = text.values[i]
    if Self.isASCIISymbol(value) || (value < 0x80 && has(i, .punctuation)) {
      let stop = run(from: i + 1) { Self.isASCIILetter(text.values[$0]) }
      if stop > i + 1 { return stop }
    }
    let letters: ScalarClass = [.letter, .mark]
    if !isNewline(i), !has(i, [.letter, .punctuation, .symbol]) {
      let stop = run(of: letters, from: i + 1)
      if stop > i + 1 { return stop }
    }
    let word = run(of: letters, from: i)
    if word > i { return word }
    let marks: ScalarClass = [.punctuation, .symbol]
    let start = value == 0x20 ? i + 1 : i
    let stop = run(of: marks, from: start)
    if stop > start { return run(from: stop) { isNewline($0) } }
    return has(i, .space) ? linesOrSpaces(i) : i
  }

  func threeDigits(_ i: Int) -> Int {
    let stop = run(from: i, limit: 3) { text.values[$0] >= 0x30 && text.values[$0] <= 0x39 }
    return stop == i + 3 ? stop : i
  }

  /// `\s+$`; the dollar sign also matches before a last newline, which the greedy run never leaves out.
  func trailingSpace(_ i: Int) -> Int {
    let stop = run(of: .space, from: i)
    return stop == end ? stop : i
  }

  func bloom(_ i: Int) -> Int {
    let start = text.values[i] == 0x20 ? i + 1 : i
    let stop = run(from: start) { !has($0, .space) && !Self.bloomStops.contains(text.values[$0]) }
    return stop > start ? stop : i
  }

  func wordOrSymbols(_ i: Int) -> Int {
    let word: (Int) -> Bool = { has($0, [.letter, .mark]) || isWordNumber($0) || text.values[$0] == 0x5F }
    let stop = run(from: i, while: word)
    return stop > i ? stop : run(from: i) { !has($0, .space) && !word($0) }
  }

  private func isWordNumber(_ i: Int) -> Bool {
    guard has(i, .number) else { return false }
    return Unicode.Scalar(text.values[i]).map { $0.properties.generalCategory != .otherNumber } ?? false
  }

  // MARK: character sets

  private static let bloomStops: Set<UInt32> = Set("(|.,!?…。，、।۔،)".unicodeScalars.map(\.value))

  static func isASCIILetter(_ c: UInt32) -> Bool { (c >= 0x41 && c <= 0x5A) || (c >= 0x61 && c <= 0x7A) }

  /// `$ + < = > ^ ` | ~`: printable ASCII that is not of class P.
  static func isASCIISymbol(_ c: UInt32) -> Bool {
    c == 0x24 || c == 0x2B || (c >= 0x3C && c <= 0x3E) || c == 0x5E || c == 0x60 || c == 0x7C || c == 0x7E
  }

  static func isSymbolOfFalcon(_ c: UInt32, backQuote: Bool) -> Bool {
    c == 0x60 ? backQuote : isASCIISymbol(c)
  }

  static func isWideASCIISymbol(_ c: UInt32) -> Bool {
    (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x7E) || (c >= 0xFF01 && c <= 0xFF0F)
      || (c >= 0xFF1A && c <= 0xFF5E) || (c >= 0x2018 && c <= 0x201F) || (c >= 0x3000 && c <= 0x3002)
  }

  static func isEastAsian(_ c: UInt32) -> Bool {
    (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x0800 && c <= 0x4E00) || (c >= 0xAC00 && c <= 0xD7FF)
  }

  static func isHanKana(_ c: UInt32) -> Bool { (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF) }
}
