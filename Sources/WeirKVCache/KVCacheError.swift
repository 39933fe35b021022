// What can go wrong in this room because of a configuration or the machine.

public import WeirBasics

/// A configuration or a machine that cannot give what was asked. Lack of blocks is not an error: it is a result.
public struct KVCacheError: WeirError, Equatable {
  /// `invalid_kv_configuration`, `kv_memory_unavailable`.
  public let code: String
  public let message: String

  static func invalid(_ message: String) -> KVCacheError {
    KVCacheError(code: "invalid_kv_configuration", message: message)
  }

  static func memory(_ message: String) -> KVCacheError {
    KVCacheError(code: "kv_memory_unavailable", message: message)
  }
}
