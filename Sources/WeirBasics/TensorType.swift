// The storage types of weights, numbered as GGUF numbers them.

/// How the elements of a tensor are stored. Raw values are ggml's type numbers.
public enum TensorType: UInt32, Sendable, CaseIterable, Hashable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case bf16 = 30

  /// Elements in one block of this type; a row's length must be a multiple of it.
  public var blockElements: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
    case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: 256
    }
  }

  /// Bytes of one block of this type.
  public var blockBytes: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q4_0: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q2_K: 84
    case .q3_K: 110
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    }
  }

  /// Bytes of a row of `elements` elements, or nil if `elements` is not a multiple of `blockElements`.
  public func rowBytes(elements: Int) -> Int? {
    guard elements >= 0, elements % blockElements == 0 else { return nil }
    return elements / blockElements * blockBytes
  }

  /// The name that files and flags use, for example `q4_K`.
  public var name: String { "\(self)" }

  /// Finds a type by its name, ignoring case.
  public init?(name: String) {
    guard let match = TensorType.allCases.first(where: { $0.name.lowercased() == name.lowercased() }) else {
      return nil
    }
    self = match
  }
}
