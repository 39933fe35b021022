// Finds golden values: files below Tests/Golden, made by independent implementations with the scripts beside them.

public import Foundation

/// The folder `Tests/Golden`.
public enum Golden {
  /// The place of a golden file, which must be there.
  ///
  /// - Parameter path: below `Tests/Golden`, for example `modelfiles/types.gguf`.
  /// - Returns: its address.
  public static func url(_ path: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden").appendingPathComponent(path)
  }

  /// The same as a path.
  ///
  /// - Parameter path: below `Tests/Golden`.
  /// - Returns: the file's path.
  public static func path(_ path: String) -> String { url(path).path }
}
