// What moves between memory here and memory of a peer.

public import WeirBasics
public import WeirKVCache

/// Byte ranges to move between a region of this node and one of a peer: all of them, or the call fails.
public struct TransferCall: Sendable {
  public var pieces: [TransferPiece]
  /// To the peer; else from it.
  public var isPut: Bool
  /// Region of this node.
  public var local: RegionID
  public var peer: PeerID
  public var remote: RegionID
  public var deadline: Instant
  /// Most pieces in flight, at least 1; nil: as many as the transport allows. 1: each is at the peer before the next.
  public var windowCalls: Int?

  /// Refuses calls that name unknown regions or leave one: nothing is written where nobody expects it.
  func check(localRegionBytes: [Int], remoteRegionBytes: [Int]) throws(TransportError) {
    guard Int(local.rawValue) < localRegionBytes.count else {
      throw TransportError(.unknownRegion, "this node has no region \(local.rawValue)")
    }
    guard Int(remote.rawValue) < remoteRegionBytes.count else {
      throw TransportError(.unknownRegion, "the peer has no region \(remote.rawValue)")
    }
    guard !pieces.isEmpty else { throw TransportError(.outOfBounds, "a call moves at least one piece") }
    let (mine, its) = (localRegionBytes[Int(local.rawValue)], remoteRegionBytes[Int(remote.rawValue)])
    let (sourceBytes, destinationBytes) = isPut ? (mine, its) : (its, mine)
    for piece in pieces
    where piece.sourceBytes.upperBound > sourceBytes || piece.destinationBytes.upperBound > destinationBytes {
      throw TransportError(
        .outOfBounds,
        "bytes \(piece.sourceBytes) of \(sourceBytes) to \(piece.destinationBytes) of \(destinationBytes) leave a region"
      )
    }
  }
}
