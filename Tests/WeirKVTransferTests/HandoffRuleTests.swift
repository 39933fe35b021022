// The two state machines, one event at a time.

import Testing
import WeirBasics
import WeirKVCache
import WeirKVTransfer

private let id = HandoffID(incarnation: 1, number: 1)
private let shape = KVWireShape(
  shape: KVShape(layers: 1, kvHeads: 1, headDim: 4, blockSlots: 4, keyType: .f32, valueType: .f32), modelFingerprint: 3)
private let offer = HandoffOffer(
  request: RequestID("r"), shape: shape, positions: 0..<14, tokenHash: 8, saltHash: 9, runLengths: [4], leaseSeconds: 10
)
private let grant = HandoffGrant(epoch: 50, region: 0, blocks: [5, 6, 7, 8], leaseSeconds: 10)
private let tag = TransferTag(
  request: RequestID("r"), epoch: 50, positions: 0..<14, tokenHash: 8, modelFingerprint: 3, saltHash: 9)
private let commit = HandoffCommit(tag: tag, checksum: 77, payload: [1])

private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 1_000_000_000).advanced(bySeconds: seconds) }

@Suite struct SenderHandoffTests {
  private func sender(span: Int = 2) -> SenderHandoff {
    SenderHandoff(id: id, offer: offer, source: [0, 1, 2, 3], spanBlocks: span)
  }

  @Test func streamsCommitsAndLetsGo() {
    var handoff = sender()
    #expect(handoff.handle(.start, now: at(0)) == [.send(.reserve(id, offer))])
    #expect(handoff.handle(.filled(slots: 9), now: at(0)).isEmpty)
    let run = CoRun(source: 0, destination: 5, count: 2)
    #expect(handoff.handle(.received(.granted(id, grant)), now: at(1)) == [.put([run], region: 0)])
    #expect(
      handoff.handle(.finished(slots: 14, payload: [1]), now: at(2)) == [
        .put([CoRun(source: 2, destination: 7, count: 2)], region: 0), .computeChecksum(tag, blocks: 4),
      ])
    #expect(handoff.handle(.checksum(77), now: at(2)).isEmpty)
    #expect(handoff.handle(.putEnded(isComplete: true), now: at(2)).isEmpty)
    #expect(handoff.handle(.putEnded(isComplete: true), now: at(2)) == [.send(.commit(id, commit))])
    #expect(handoff.handle(.received(.adopted(id, epoch: 49)), now: at(2)).isEmpty)
    #expect(handoff.handle(.received(.adopted(id, epoch: 50)), now: at(2)) == [.release, .ended(.adopted)])
    #expect(handoff.handle(.received(.granted(id, grant)), now: at(2)).contains(.send(.quiet(id))))
  }

  @Test func tellsHowFarItIs() {
    var handoff = sender()
    _ = handoff.handle(.start, now: at(0))
    _ = handoff.handle(.received(.granted(id, grant)), now: at(0))
    #expect(handoff.handle(.filled(slots: 8), now: at(0)).count == 1)
    #expect(handoff.handle(.putEnded(isComplete: true), now: at(0)) == [.send(.written(id, epoch: 50, blocks: 2))])
  }

  @Test func letsGoOnlyWhenNothingIsInFlight() {
    var handoff = sender(span: 1)
    _ = handoff.handle(.start, now: at(0))
    _ = handoff.handle(.received(.granted(id, grant)), now: at(0))
    _ = handoff.handle(.filled(slots: 8), now: at(0))
    #expect(handoff.handle(.cancel, now: at(1)) == [.send(.abort(id, .cancelled)), .cancelPuts])
    #expect(handoff.handle(.tick, now: at(99)).isEmpty)
    #expect(
      handoff.handle(.putEnded(isComplete: false), now: at(99)) == [
        .send(.quiet(id)), .release, .ended(.refused(.cancelled)),
      ])
    #expect(handoff.handle(.filled(slots: 14), now: at(99)).isEmpty)
    #expect(handoff.outcome == .refused(.cancelled))
  }

  @Test func endsWithItsLeaseInEveryState() {
    var waiting = sender()
    _ = waiting.handle(.start, now: at(0))
    #expect(waiting.handle(.tick, now: at(9.9)).isEmpty)
    #expect(waiting.handle(.tick, now: at(10)).last == .ended(.refused(.leaseEnded)))
  }

  @Test func aFailedCallAndALostPeerEndIt() {
    for isLost in [true, false] {
      var handoff = sender(span: 1)
      _ = handoff.handle(.start, now: at(0))
      _ = handoff.handle(.received(.granted(id, grant)), now: at(0))
      _ = handoff.handle(.filled(slots: 4), now: at(0))
      if isLost {
        #expect(handoff.handle(.peerLost, now: at(0)) == [.cancelPuts])
        #expect(
          handoff.handle(.putEnded(isComplete: false), now: at(0)) == [.release, .ended(.refused(.peerLost))])
      } else {
        let actions = handoff.handle(.putEnded(isComplete: false), now: at(0))
        #expect(actions.first == .send(.abort(id, .transport)) && actions.last == .ended(.refused(.transport)))
      }
    }
  }

  @Test func aGrantOfOtherLengthIsAFault() {
    for blocks in [[5, 6, 7], [5, 6, 7, 7]] as [[BlockID]] {
      var handoff = sender()
      _ = handoff.handle(.start, now: at(0))
      let wrong = HandoffGrant(epoch: 1, region: 0, blocks: blocks, leaseSeconds: 1)
      #expect(handoff.handle(.received(.granted(id, wrong)), now: at(0)).last == .ended(.refused(.protocolFault)))
    }
  }
}

@Suite struct ReceiverHandoffTests {
  private func granted() -> ReceiverHandoff {
    var handoff = ReceiverHandoff(id: id)
    #expect(handoff.handle(.received(.reserve(id, offer)), now: at(0)) == [.allocate(offer)])
    #expect(handoff.handle(.allocated(grant), now: at(0)) == [.send(.granted(id, grant))])
    return handoff
  }

  @Test func adoptsWhatWasAnnouncedOnce() {
    var handoff = granted()
    #expect(handoff.handle(.received(.written(id, epoch: 50, blocks: 2)), now: at(1)) == [.written(blocks: 2)])
    #expect(handoff.handle(.received(.commit(id, commit)), now: at(1)) == [.verify(commit)])
    #expect(
      handoff.handle(.verified(nil), now: at(1)) == [
        .send(.adopted(id, epoch: 50)), .adopt(payload: [1]), .ended(.adopted),
      ])
    #expect(
      handoff.handle(.received(.commit(id, commit)), now: at(1)) == [
        .refused(.duplicateCommit), .send(.abort(id, .duplicateCommit)),
      ])
    #expect(handoff.handle(.received(.written(id, epoch: 50, blocks: 2)), now: at(1)) == [.refused(.aborted)])
    #expect(handoff.handle(.received(.abort(id, .cancelled)), now: at(1)).isEmpty)
  }

  @Test(arguments: TransferTag.Part.allCases) func everyPartOfTheTagIsCompared(part: TransferTag.Part) {
    var handoff = granted()
    let wrong = HandoffCommit(tag: tag.changed(part), checksum: 77, payload: [])
    let actions = handoff.handle(.received(.commit(id, wrong)), now: at(1))
    if part == .epoch {
      // It speaks of another grant: this room is not known to be quiet.
      #expect(actions == [.refused(.staleEpoch), .send(.abort(id, .staleEpoch))])
      #expect(handoff.handle(.received(.quiet(id)), now: at(1)) == [.release, .ended(.refused(.staleEpoch))])
    } else {
      #expect(actions == [.send(.abort(id, .tag(part))), .release, .ended(.refused(.tag(part)))])
    }
  }

  @Test func wrongBytesAreRefused() {
    var handoff = granted()
    _ = handoff.handle(.received(.commit(id, commit)), now: at(1))
    #expect(
      handoff.handle(.verified(.checksum), now: at(1)) == [
        .send(.abort(id, .checksum)), .release, .ended(.refused(.checksum)),
      ])
    #expect(handoff.handle(.received(.commit(id, commit)), now: at(1)).first == .refused(.aborted))
  }

  @Test func keepsItsRoomUntilTheSenderIsQuiet() {
    for end in 0..<4 {
      var handoff = granted()
      let started: [ReceiverHandoff.Action]
      switch end {
      case 0: started = handoff.handle(.cancel, now: at(1))
      case 1: started = handoff.handle(.tick, now: at(10))
      case 2: started = handoff.handle(.received(.abort(id, .transport)), now: at(1))
      default: started = handoff.handle(.cancel, now: at(1))
      }
      #expect(!started.contains(.release), "ending \(end)")
      #expect(handoff.handle(.received(.written(id, epoch: 50, blocks: 2)), now: at(2)) == [.refused(.aborted)])
      let last: [ReceiverHandoff.Action]
      switch end {
      case 0: last = handoff.handle(.received(.quiet(id)), now: at(3))
      case 1: last = handoff.handle(.received(.commit(id, commit)), now: at(11))
      default: last = handoff.handle(.peerLost, now: at(3))
      }
      #expect(last.contains(.release), "ending \(end)")
    }
  }

  @Test func aLateCommitIsRefused() {
    var handoff = granted()
    let actions = handoff.handle(.received(.commit(id, commit)), now: at(10.5))
    #expect(actions == [.send(.abort(id, .leaseEnded)), .release, .ended(.refused(.leaseEnded))])
  }

  @Test func aSilentSenderIsDisconnectedOnce() {
    var handoff = granted()
    _ = handoff.handle(.cancel, now: at(1))
    #expect(handoff.handle(.tick, now: at(30)).isEmpty)
    #expect(handoff.handle(.tick, now: at(31)) == [.disconnect])
    #expect(handoff.handle(.tick, now: at(32)).isEmpty)
    #expect(handoff.handle(.peerLost, now: at(33)) == [.release, .ended(.refused(.cancelled))])
  }

  @Test func noRoomAndEarlyEndsAreTold() {
    var handoff = ReceiverHandoff(id: id)
    _ = handoff.handle(.received(.reserve(id, offer)), now: at(0))
    #expect(
      handoff.handle(.refuse(.noRoom), now: at(0)) == [.send(.abort(id, .noRoom)), .ended(.refused(.noRoom))])
    var early = ReceiverHandoff(id: id)
    _ = early.handle(.received(.reserve(id, offer)), now: at(0))
    _ = early.handle(.received(.abort(id, .cancelled)), now: at(0))
    #expect(early.handle(.allocated(grant), now: at(0)) == [.release, .ended(.refused(.cancelled))])
  }
}
