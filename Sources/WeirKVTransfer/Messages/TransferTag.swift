// What a transfer says it is. The receiver compares every part with what it expects before it looks at a byte.

public import WeirBasics

/// The identity of transferred KV.
public struct TransferTag: Hashable, Sendable {
  /// The request that the KV was computed for.
  public var request: RequestID
  /// Number of the receiver's grant: never used twice, so that a late or repeated transfer is not taken for a new one.
  public var epoch: UInt64
  /// Positions that the KV stands for.
  public var positions: Range<Position>
  /// Hash of the tokens at those positions and of all tokens before them.
  public var tokenHash: UInt64
  public var modelFingerprint: UInt64
  /// Hash of the salt under which the KV may be shared.
  public var saltHash: UInt64

  public init(
    request: RequestID, epoch: UInt64, positions: Range<Position>, tokenHash: UInt64, modelFingerprint: UInt64,
    saltHash: UInt64
  ) {
    self.request = request
    self.epoch = epoch
    self.positions = positions
    self.tokenHash = tokenHash
    self.modelFingerprint = modelFingerprint
    self.saltHash = saltHash
  }

  /// One part of a tag.
  public enum Part: UInt8, Sendable, Hashable, CaseIterable {
    case request, epoch, positions, tokens, model, salt
  }

  /// The first part in which `other` differs, nil if none does.
  public func firstDifference(from other: TransferTag) -> Part? {
    if request != other.request { return .request }
    if epoch != other.epoch { return .epoch }
    if modelFingerprint != other.modelFingerprint { return .model }
    if saltHash != other.saltHash { return .salt }
    if positions != other.positions { return .positions }
    return tokenHash != other.tokenHash ? .tokens : nil
  }
}

extension TransferTag {
  static let requestBytesLimit = 1024

  /// The bytes that stand for the tag on the wire and under the checksum.
  public var canonicalBytes: [UInt8] {
    var writer = ByteWriter()
    write(to: &writer)
    return writer.bytes
  }

  func write(to writer: inout ByteWriter) {
    writer.put(request.rawValue)
    writer.put(epoch)
    writer.put(UInt64(positions.lowerBound))
    writer.put(UInt64(positions.upperBound))
    writer.put(tokenHash)
    writer.put(modelFingerprint)
    writer.put(saltHash)
  }

  init(from reader: inout ByteReader) throws(MessageFault) {
    request = RequestID(try reader.string("request", limit: Self.requestBytesLimit))
    epoch = try reader.integer()
    let first = try reader.integer(UInt64.self)
    let end = try reader.integer(UInt64.self)
    guard first <= end, end < 1 << 40 else { throw .invalid("positions") }
    positions = Int(first)..<Int(end)
    tokenHash = try reader.integer()
    modelFingerprint = try reader.integer()
    saltHash = try reader.integer()
  }
}
