// Checksums, tags, messages and the handshake.

import Foundation
import Testing
import WeirBasics
import WeirKVTransfer
import WeirTestSupport

@Suite struct KVChecksumTests {
  private static let data = (0..<5000).map { UInt8(truncatingIfNeeded: ($0 * 2_654_435_761) >> 24) }

  @Test func agreesWithAnIndependentImplementation() throws {
    let lines = try String(contentsOf: Golden.url("transfer/checksums.txt"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 69)
    for line in lines {
      let numbers = line.split(separator: " ")
      let (length, seed, value) = (Int(numbers[0]), UInt64(numbers[1]), UInt64(numbers[2]))
      guard let length, let seed, let value else {
        Issue.record("not three numbers: \(line)")
        continue
      }
      #expect(KVChecksum.value(of: Array(Self.data.prefix(length)), seed: seed) == value, "\(length) bytes")
    }
  }

  @Test func theCutsDoNotMatter() {
    var random = SeededGenerator(seed: 3)
    let whole = KVChecksum.value(of: Self.data)
    for _ in 0..<200 {
      var sum = KVChecksum(seed: 0)
      var place = 0
      while place < Self.data.count {
        let count = min(Self.data.count - place, Int(random.next() % 70))
        sum.add(Array(Self.data[place..<(place + count)]))
        place += count
      }
      #expect(sum.value == whole && sum.value == whole)
    }
  }

  @Test func everyBitAndEveryPartOfTheTagCounts() {
    let tag = sampleTag()
    func checksum(_ tag: TransferTag, _ blocks: [UInt8]) -> UInt64 {
      // Two blocks: in another order they are other KV.
      let digests = blocks.withUnsafeBytes { all in
        [all[..<(all.count / 2)], all[(all.count / 2)...]].map {
          KVDigest().value(of: UnsafeRawBufferPointer(rebasing: $0))
        }
      }
      return KVChecksum.value(tag: tag, digests: digests)
    }
    let bytes = Array(Self.data.prefix(1024))
    let right = checksum(tag, bytes)
    #expect(checksum(tag, Array(bytes[512...] + bytes[..<512])) != right)
    for bit in 0..<(1024 * 8) {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(checksum(tag, damaged) != right)
    }
    for part in TransferTag.Part.allCases {
      let other = tag.changed(part)
      #expect(tag.firstDifference(from: other) == part)
      #expect(checksum(other, bytes) != right)
    }
    #expect(tag.firstDifference(from: tag) == nil)
  }
}

func sampleTag() -> TransferTag {
  TransferTag(
    request: RequestID("chat-1"), epoch: 5, positions: 16..<80, tokenHash: 11, modelFingerprint: 12, saltHash: 13)
}

extension TransferTag {
  func changed(_ part: Part) -> TransferTag {
    var other = self
    switch part {
    case .request: other.request = RequestID("chat-2")
    case .epoch: other.epoch += 1
    case .positions: other.positions = positions.lowerBound..<(positions.upperBound + 1)
    case .tokens: other.tokenHash ^= 1
    case .model: other.modelFingerprint ^= 1
    case .salt: other.saltHash ^= 1
    }
    return other
  }
}

@Suite struct MessageTests {
  private static let id = HandoffID(incarnation: 0xABCD_EF01_2345_6789, number: 3)
  private static let shape = KVWireShape(
    shape: KVShape(layers: 4, kvHeads: 2, headDim: 64, blockSlots: 16, keyType: .q8_0, valueType: .f16), heads: 2..<4,
    of: 8, modelFingerprint: 99)
  static let messages: [HandoffMessage] =
    [
      .reserve(
        id,
        HandoffOffer(
          request: RequestID("é-1"), shape: shape, positions: 32..<130, tokenHash: 1, saltHash: 2, runLengths: [3, 4],
          leaseSeconds: 2.5)),
      .granted(id, HandoffGrant(epoch: 77, region: 1, blocks: [4, 5, 6, 1, 9, 8], leaseSeconds: 30)),
      .written(id, epoch: 77, blocks: 4),
      .commit(id, HandoffCommit(tag: sampleTag(), checksum: .max, payload: [1, 2, 3])),
      .adopted(id, epoch: 77),
      .quiet(id),
    ]
    + ([
      .noRoom, .checksum, .leaseEnded, .duplicateCommit, .staleEpoch, .unknownHandoff, .aborted, .cancelled,
      .transport, .peerLost, .protocolFault,
    ] as [HandoffRefusal]
    + WireField.allCases.map { .shape($0) } + TransferTag.Part.allCases.map { .tag($0) }).map { .abort(id, $0) }

  @Test(arguments: messages) func comesBackAsItWas(message: HandoffMessage) throws {
    #expect(try HandoffMessage(bytes: message.bytes) == message)
    #expect(message.handoff == Self.id)
  }

  @Test(arguments: messages) func everyCutIsATypedFault(message: HandoffMessage) {
    for count in 0..<message.bytes.count {
      #expect(throws: MessageFault.self) { try HandoffMessage(bytes: Array(message.bytes.prefix(count))) }
    }
    #expect(throws: MessageFault.trailingBytes(1)) { try HandoffMessage(bytes: message.bytes + [0]) }
  }

  @Test func damagedBytesNeverTrap() {
    var random = SeededGenerator(seed: 9)
    for message in Self.messages {
      for _ in 0..<500 {
        var bytes = message.bytes
        for _ in 0..<(1 + random.next() % 4) {
          bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() % 256)
        }
        if let read = try? HandoffMessage(bytes: bytes) {
          #expect(throws: Never.self) { try HandoffMessage(bytes: read.bytes) }
        }
      }
    }
  }

  @Test func everyRefusalHasItsOwnWord() {
    let codes = Self.messages.compactMap { message -> String? in
      if case .abort(_, let refusal) = message { refusal.code } else { nil }
    }
    #expect(Set(codes).count == codes.count && codes.count == 25)
  }
}

@Suite struct HandshakeTests {
  /// A stand-in for HMAC: a keyed checksum. Good enough to test the rules, not to use.
  private func authenticator(_ secret: UInt64) -> PeerAuthenticator {
    PeerAuthenticator { bytes in
      (0..<4).flatMap { lane in
        withUnsafeBytes(of: KVChecksum.value(of: bytes, seed: secret &+ lane).littleEndian, Array.init)
      }
    }
  }

  private func machine(_ isInitiator: Bool, secret: UInt64 = 1, nonce: UInt8) -> HandshakeMachine {
    HandshakeMachine(
      isInitiator: isInitiator, nonce: Array(repeating: nonce, count: HandshakeMessage.nonceBytes),
      introduction: [nonce, nonce], authenticator: authenticator(secret))
  }

  @Test func bothSidesKnowEachOtherAfterwards() throws {
    var initiator = machine(true, nonce: 1)
    var responder = machine(false, nonce: 2)
    let hello = try HandshakeMessage(bytes: initiator.start().bytes)
    guard case .send(let challenge) = try responder.receive(hello) else {
      throw TransportError(.closed, "no challenge")
    }
    guard case .send(let proof) = try initiator.receive(HandshakeMessage(bytes: challenge.bytes)) else {
      throw TransportError(.closed, "no proof")
    }
    let end = try responder.receive(HandshakeMessage(bytes: proof.bytes))
    #expect(end == .finished(.welcome, introduction: [1, 1]))
    #expect(try initiator.receive(.welcome) == .finished(nil, introduction: [2, 2]))
  }

  @Test func anotherSecretIsRefusedByEitherSide() throws {
    var initiator = machine(true, secret: 1, nonce: 1)
    var responder = machine(false, secret: 2, nonce: 2)
    guard case .send(let challenge) = try responder.receive(initiator.start()) else { return }
    #expect(throws: TransportError(.unauthenticated, "the responder does not know the cluster secret")) {
      try initiator.receive(challenge)
    }
    #expect(throws: TransportError(.unauthenticated, "the initiator does not know the cluster secret")) {
      try responder.receive(.proof(Array(repeating: 0, count: 32)))
    }
    #expect(throws: TransportError.self) { try responder.receive(.proof([])) }
  }

  @Test func reflectionChangedIntroductionsAndDisorderAreRefused() throws {
    var responder = machine(false, nonce: 2)
    #expect(throws: TransportError.self) {
      try responder.receive(.hello(nonce: Array(repeating: 2, count: 32), introduction: []))
    }
    var early = machine(false, nonce: 2)
    #expect(throws: TransportError.self) { try early.receive(.welcome) }
    // Somebody in between changes what the responder says of itself.
    var initiator = machine(true, nonce: 1)
    var honest = machine(false, nonce: 2)
    guard case .send(.challenge(let nonce, _, let proof)) = try honest.receive(initiator.start()) else { return }
    #expect(throws: TransportError.self) {
      try initiator.receive(.challenge(nonce: nonce, introduction: [9], proof: proof))
    }
  }

  @Test func cutAndDamagedMessagesAreTypedFaults() {
    let whole = HandshakeMessage.challenge(
      nonce: Array(repeating: 3, count: 32), introduction: [1, 2, 3], proof: Array(repeating: 4, count: 32)
    ).bytes
    for count in whole.indices {
      #expect(throws: MessageFault.self) { try HandshakeMessage(bytes: Array(whole.prefix(count))) }
    }
    #expect(throws: MessageFault.invalid("magic")) { try HandshakeMessage(bytes: [0] + whole.dropFirst()) }
  }
}
