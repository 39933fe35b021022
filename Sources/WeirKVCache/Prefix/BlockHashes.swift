// Names of blocks for the outside: events, routers, the list of evicted prefixes. Never used to decide on reuse.

public import WeirBasics

/// Hash of the tokens of one block alone.
public struct LocalHash: Hashable, Sendable {
  public let rawValue: UInt64

  /// Hashes `tokens` in order. Deterministic over processes and machines.
  public init(tokens: some Sequence<TokenID>) {
    var state: UInt64 = 0x2545_F491_4F6C_DD1D
    var count: UInt64 = 0
    for token in tokens {
      state = mixed(state ^ UInt64(token.rawValue), 0x9E37_79B9_7F4A_7C15)
      count += 1
    }
    rawValue = mixed(state ^ count, 0xD6E8_FEB8_6659_FD93)
  }
}

/// Hash of all tokens up to the end of a block, and of the scope (salt) they were cached under. 63 bits, so that
/// consumers with signed integers read the same number.
///
/// Two different prefixes may share a hash; the prefix tree therefore compares tokens, never hashes.
public struct PrefixHash: Hashable, Sendable {
  public let rawValue: UInt64

  /// The hash before the first block of a scope.
  public init(salt: String) {
    var state: UInt64 = 0x6A09_E667_F3BC_C908
    for byte in salt.utf8 { state = mixed(state ^ UInt64(byte), 0xBF58_476D_1CE4_E5B9) }
    rawValue = mixed(state ^ UInt64(salt.utf8.count), 0x94D0_49BB_1331_11EB) & (.max >> 1)
  }

  /// The hash after one more block.
  public init(parent: PrefixHash, local: LocalHash) {
    rawValue = mixed(parent.rawValue ^ 0xA076_1D64_78BD_642F, local.rawValue ^ 0xE703_7ED1_A0B4_28DB) & (.max >> 1)
  }
}

/// 64 x 64 -> 128 bit product, folded.
private func mixed(_ a: UInt64, _ b: UInt64) -> UInt64 {
  let product = (a ^ 0x8EBC_6AF0_9C88_C6E3).multipliedFullWidth(by: b | 1)
  return product.high ^ product.low
}
