// Finds the test data that lies beside the repository, where there is any.

public import Foundation

/// The folder `../shared/data` of the package root. Absent in a plain clone: tests that need it are enabled by
/// `.enabled(if: SharedData.exists("..."))`.
public enum SharedData {
  private static let root: URL = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url.appendingPathComponent("../shared/data").standardizedFileURL
  }()

  /// The place of `path` below the shared data.
  ///
  /// - Parameter path: for example `derived/tiny1m.gguf`.
  /// - Returns: its address, or nil if it is not there.
  public static func url(_ path: String) -> URL? {
    let url = root.appendingPathComponent(path)
    return FileManager.default.fileExists(atPath: url.path) ? url : nil
  }

  /// Whether `path` is there.
  public static func exists(_ path: String) -> Bool { url(path) != nil }
}
