// The repository as the house tests see it: source files and the functions in them.

import Foundation

struct SourceFile: Sendable, CustomStringConvertible {
  let path: String  // relative to the package root
  let lines: [String]
  var description: String { path }

  var room: String {
    let parts = path.split(separator: "/")
    return parts.count > 1 ? String(parts[1]) : ""
  }
}

struct FunctionSpan: CustomStringConvertible {
  let file: String
  let firstLine: Int
  let lineCount: Int
  let head: String
  var description: String { "\(file):\(firstLine) has \(lineCount) lines: \(head)" }
}

enum SourceTree {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func files(under folders: [String], extensions: Set<String>) -> [SourceFile] {
    var found: [SourceFile] = []
    for folder in folders {
      let base = root.appendingPathComponent(folder)
      guard let walker = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil) else { continue }
      for case let url as URL in walker where extensions.contains(url.pathExtension) {
        guard let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
        let path = String(url.path.dropFirst(root.path.count + 1))
        found.append(
          SourceFile(path: path, lines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)))
      }
    }
    return found.sorted { $0.path < $1.path }
  }

  static let swiftSources = files(under: ["Sources"], extensions: ["swift"])
  static let allCode = files(
    under: ["Sources", "Tests", "Fuzz", "Examples"], extensions: ["swift", "c", "h", "inc", "py", "js", "html", "css"])

  static func text(_ path: String) -> String? {
    try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }
}

extension SourceFile {
  /// Functions, initialisers and subscripts with their length, by counting braces outside strings and comments.
  var swiftFunctions: [FunctionSpan] {
    spans { line in
      guard ["func ", "init", "deinit", "subscript"].contains(where: { line.contains($0) }) else { return false }
      let code = line.trimmingCharacters(in: .whitespaces)
      guard !code.hasPrefix("//") else { return false }
      return code.range(of: #"(^|\s)(func\s+\S|init[?!]?[(<]|deinit\s*\{|subscript[(<])"#, options: .regularExpression)
        != nil
    }
  }

  /// C functions: a definition starts in column 0 and has a parameter list.
  var cFunctions: [FunctionSpan] {
    spans { line in
      guard let first = line.first, first.isLetter || first == "_" else { return false }
      return line.contains("(") && !line.contains(";") && !line.hasPrefix("typedef") && !line.hasPrefix("struct")
    }
  }

  private func spans(startingWhere isStart: (String) -> Bool) -> [FunctionSpan] {
    var result: [FunctionSpan] = []
    for (index, line) in lines.enumerated() where isStart(line) {
      var depth = 0
      var opened = false
      scan: for end in index..<lines.count {
        for brace in lines[end].bracesOutsideStrings(hasCharacterLiterals: !path.hasSuffix(".swift")) {
          depth += brace == "{" ? 1 : -1
          if brace == "{" { opened = true }
          if depth < 0 { break scan }
        }
        if opened && depth == 0 {
          result.append(
            FunctionSpan(
              file: path, firstLine: index + 1, lineCount: end - index + 1,
              head: line.trimmingCharacters(in: .whitespaces)))
          break
        }
        // A declaration without a body (protocol requirement, prototype) ends where the next blank line stands.
        if !opened && end > index && lines[end].trimmingCharacters(in: .whitespaces).isEmpty { break }
      }
    }
    return result
  }
}

extension String {
  /// Curly braces that are code. C writes characters in single quotes; in Swift those are ordinary text.
  func bracesOutsideStrings(hasCharacterLiterals: Bool) -> [Character] {
    var braces: [Character] = []
    var inString = false
    var previous: Character = " "
    for character in self {
      let isQuoted = hasCharacterLiterals && previous == "'"
      if character == "\"" && previous != "\\" && !isQuoted { inString.toggle() }
      if !inString {
        if character == "/" && previous == "/" { break }
        if (character == "{" || character == "}") && !isQuoted { braces.append(character) }
      }
      previous = character == "\\" && previous == "\\" ? " " : character
    }
    return braces
  }
}
