// The checksum that ties bytes to the tag they claim.

import CWeirKernels
public import WeirBasics

/// XXH64 over the digests (`KVDigest`) of all blocks in the order of the sequence, seeded with the XXH64 of the tag:
/// right bytes under a wrong tag do not match either. The bytes are those on the wire, in the sender's layout, whole
/// blocks.
///
/// It finds damage and mix-ups, not forgery: whoever may write here has shown the cluster secret.
public struct KVChecksum: Sendable {
  private var state: weir_checksum

  /// The checksum before the first block of the transfer that `tag` names.
  public init(tag: TransferTag) {
    self.init(seed: KVChecksum.value(of: tag.canonicalBytes))
  }

  /// The checksum of a transfer of blocks with these digests.
  public static func value(tag: TransferTag, digests: some Sequence<UInt64>) -> UInt64 {
    var sum = KVChecksum(tag: tag)
    for digest in digests { withUnsafeBytes(of: digest.littleEndian) { sum.add($0) } }
    return sum.value
  }

  /// The checksum of no bytes yet.
  public init(seed: UInt64) { state = weir_checksum_start(seed) }

  /// Adds bytes; what they are cut into does not matter.
  public mutating func add(_ bytes: UnsafeRawBufferPointer) {
    weir_checksum_add(&state, bytes.baseAddress, bytes.count)
  }

  /// Adds bytes; what they are cut into does not matter.
  public mutating func add(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { add($0) }
  }

  /// The checksum of what was added so far.
  public var value: UInt64 {
    var copy = state
    return weir_checksum_value(&copy)
  }

  /// The checksum of some bytes at once.
  public static func value(of bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
    var sum = KVChecksum(seed: seed)
    sum.add(bytes)
    return sum.value
  }
}

extension TransferTag {
  /// Hash of tokens from the start of a sequence, for `tokenHash`.
  public static func hash(of tokens: some Sequence<TokenID>) -> UInt64 {
    var sum = KVChecksum(seed: 0x746f_6b65_6e73)
    for token in tokens {
      var value = token.rawValue.littleEndian
      withUnsafeBytes(of: &value) { sum.add($0) }
    }
    return sum.value
  }

  /// Hash of a salt, for `saltHash`.
  public static func hash(salt: String) -> UInt64 { KVChecksum.value(of: Array(salt.utf8), seed: 0x7361_6c74) }
}

extension HandoffOffer {
  /// Compares what is offered with what a request of this node asks for; nil if it is that.
  public func firstDifference(request: RequestID, tokens: [TokenID], salt: String) -> TransferTag.Part? {
    if self.request != request { return .request }
    if TransferTag.hash(salt: salt) != saltHash { return .salt }
    if positions.upperBound > tokens.count { return .positions }
    return TransferTag.hash(of: tokens.prefix(positions.upperBound)) == tokenHash ? nil : .tokens
  }
}
