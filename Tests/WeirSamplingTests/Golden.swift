// Reads values made by the scripts in Tests/Golden/sampling.

import Foundation
import WeirBasics

enum Golden {
  static func json(_ name: String) throws -> JSONValue {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: tests.appendingPathComponent("Golden/sampling/\(name)"))
    return try JSONValue.parse(utf8: Array(data))
  }
}
