// What a node tells a peer that has shown the cluster secret: how to reach its memory.

/// The way to a node's worker and to its registered regions.
public struct TransportDetails: Hashable, Sendable {
  /// One region as the peer may use it.
  public struct Region: Hashable, Sendable {
    /// First byte in the address space of its owner.
    public var address: UInt64
    public var byteCount: UInt64
    /// What the network stack asks for.
    public var key: [UInt8]

    public init(address: UInt64, byteCount: UInt64, key: [UInt8]) {
      self.address = address
      self.byteCount = byteCount
      self.key = key
    }
  }

  public var worker: [UInt8]
  public var regions: [Region]

  public init(worker: [UInt8], regions: [Region]) {
    self.worker = worker
    self.regions = regions
  }

  private static let workerBytesLimit = 1 << 14
  private static let regionLimit = 64
  private static let keyBytesLimit = 4096

  /// The details as bytes.
  public var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(worker)
    writer.put(count: regions.count)
    for region in regions {
      writer.put(region.address)
      writer.put(region.byteCount)
      writer.put(region.key)
    }
    return writer.bytes
  }

  /// Reads details.
  /// - Throws: `MessageFault` for anything that `bytes` of a sound node cannot be.
  public init(bytes: [UInt8]) throws(MessageFault) {
    var reader = ByteReader(bytes)
    worker = try reader.array("worker", limit: Self.workerBytesLimit)
    guard !worker.isEmpty else { throw .invalid("worker") }
    regions = []
    for _ in 0..<(try reader.count("regions", limit: Self.regionLimit)) {
      let address = try reader.integer(UInt64.self)
      let count = try reader.integer(UInt64.self)
      guard count < 1 << 47, address < 1 << 63 else { throw .invalid("region") }
      let key = try reader.array("key", limit: Self.keyBytesLimit)
      guard !key.isEmpty else { throw .invalid("key") }
      regions.append(Region(address: address, byteCount: count, key: key))
    }
    try reader.finish()
  }
}
