// What an engine says of its latest requests and handoffs.

import Testing
import Weir
import WeirKVCache
import WeirKVTransfer

@testable import WeirEngine

@Suite struct RecentWorkTests {
  @Test func aHandoffIsFollowedOverBothNodes() async throws {
    let cluster = try HandoffCluster([HandoffNodeSetup(), HandoffNodeSetup()])
    let requests = (0..<3).map { index in
      EngineFixture.request(EngineFixture.prompt(100, seed: UInt64(index + 1)), maxTokens: 5, name: "r\(index)")
    }
    _ = try await cluster.disaggregated(requests)
    let (sender, receiver) = (cluster.loops[0].recent, cluster.loops[1].recent)
    #expect(sender.requests.map(\.request) == requests.map { RequestID("prefill-\($0.id)") })
    #expect(sender.requests.allSatisfy { $0.handsOver && $0.arrival == nil && $0.completionTokens == 1 })
    #expect(Set(receiver.requests.map(\.request)) == Set(requests.map(\.id)))
    let shape = cluster.loops[1].pool.shape
    for record in receiver.requests {
      #expect(record.arrival?.tokens == 99 && record.promptTokens == 100 && record.completionTokens == 5)
      // The wait for KV is the queue of a request with a ticket.
      #expect(record.queueSeconds >= record.arrival?.seconds ?? .infinity)
    }
    for record in receiver.handoffs {
      #expect(record.refusal == nil && record.tokens == 99 && record.runs >= 1 && record.seconds > 0)
      #expect(record.bytes == shape.blockCount(tokens: 99) * shape.blockBytes)
      #expect(record.sender == "node0")
    }
    #expect(receiver.handoffs.count == 3)
  }

  @Test func aRefusalIsKeptWithItsReason() async throws {
    let cluster = try HandoffCluster([HandoffNodeSetup(), HandoffNodeSetup()])
    let request = EngineFixture.request(EngineFixture.prompt(100), maxTokens: 5, name: "r")
    let ticket = try await cluster.prefilled([request])[0]
    cluster.kill(0)
    var continued = request
    continued.arrival = ticket
    _ = try await cluster.finish([cluster.submit(continued, to: 1)])
    let record = try #require(cluster.loops[1].recent.handoffs.last)
    let refusal = try #require(record.refusal)
    #expect(record.tokens == 0 && record.bytes == 0 && record.runs == 0)
    #expect(cluster.report(1).recomputed == [refusal: 1])
    #expect(cluster.loops[1].recent.requests.last?.arrival?.refusal == refusal)
  }

  @Test func onlyTheLatestAreKept() {
    var work = RecentWork()
    for number in 0..<(RecentWork.limit + 10) {
      work.note(
        RequestRecord(
          request: RequestID("r\(number)"), submitted: Instant(nanoseconds: 0),
          usage: UsageReport(promptTokens: 1, cachedTokens: 0, completionTokens: number), arrival: nil))
      work.note(
        HandoffRecord(request: RequestID("h\(number)"), sender: "a:1", ended: Instant(nanoseconds: 0), seconds: 0))
    }
    #expect(work.requests.count == RecentWork.limit && work.handoffs.count == RecentWork.limit)
    #expect(work.requests.first?.completionTokens == 10 && work.handoffs.first?.request == RequestID("h10"))
  }
}
