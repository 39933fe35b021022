// What a router keeps of the way of its requests, and what a node says of its part.

import HTTPTypes
import Testing
import WeirBasics
import WeirCluster
import WeirEngine
import WeirTestSupport

@testable import WeirServing

@Suite struct TraceTests {
  private let clock = ManualClock()

  private func request(_ id: String) -> RoutedRequest {
    RoutedRequest(path: "/v1/completions", id: id, body: ["prompt": "one two three four"], headers: [])
  }

  @Test func stepsFollowEachOther() throws {
    let traces = RequestTraces()
    let request = request("a")
    traces.begin(request, at: clock.now())
    traces.begin(step: "prefill", on: NodeID("p"), of: request, at: clock.now())
    clock.advance(bySeconds: 2)
    traces.end(step: "prefill", of: request, at: clock.now(), failure: "prefill_failed")
    traces.begin(step: "answer", on: NodeID("d"), of: request, at: clock.now())
    clock.advance(bySeconds: 3)
    traces.end(request, at: clock.now())
    let trace = try #require(traces.all.first)
    #expect(trace.steps.map(\.name) == ["prefill", "answer"] && trace.steps.map(\.node) == [NodeID("p"), NodeID("d")])
    #expect(trace.steps.map(\.failure) == ["prefill_failed", nil] && trace.failure == nil)
    #expect(trace.steps[1].ended?.seconds(since: trace.steps[1].began) == 3)
    #expect(trace.ended?.seconds(since: trace.began) == 5)
    // A step that has ended is not ended again.
    clock.advance(bySeconds: 1)
    traces.end(step: "answer", of: request, at: clock.now(), failure: "late")
    #expect(traces.all.first?.steps.last?.failure == nil)
  }

  @Test func twoStepsMayBeOpenAtOnce() throws {
    let traces = RequestTraces()
    let request = request("a")
    traces.begin(request, at: clock.now())
    traces.begin(step: "prefill", on: NodeID("p"), of: request, at: clock.now())
    clock.advance(bySeconds: 1)
    traces.begin(step: "answer", on: NodeID("d"), of: request, at: clock.now())
    clock.advance(bySeconds: 1)
    traces.end(step: "prefill", of: request, at: clock.now())
    #expect(traces.all.first?.steps.map { $0.ended == nil } == [false, true])
    clock.advance(bySeconds: 1)
    traces.end(request, at: clock.now())
    let steps = try #require(traces.all.first?.steps)
    #expect(steps.map { $0.ended?.seconds(since: $0.began) } == [2, 2])
  }

  @Test func oneNameUsedTwiceMeansTheLaterRequest() {
    let traces = RequestTraces()
    for _ in 0..<2 { traces.begin(request("a"), at: clock.now()) }
    traces.end(request("a"), at: clock.now(), failure: "node_unavailable")
    #expect(traces.all.map(\.failure) == [nil, "node_unavailable"])
  }

  @Test func onlyTheLatestAreKept() {
    let traces = RequestTraces()
    for number in 0..<(RequestTraces.limit + 3) { traces.begin(request("\(number)"), at: clock.now()) }
    #expect(traces.all.count == RequestTraces.limit && traces.all.first?.id == "3")
    traces.end(request("0"), at: clock.now())
    #expect(traces.all.allSatisfy { $0.ended == nil })
  }

  @Test func aNodeTellsItsWorkUnderTheKeyOfItsNumbers() async throws {
    try await TestServer.with({ configuration in
      configuration.apiKeys = ["key"]
      configuration.protectsMetrics = true
    }) { server in
      let refused = try await server.get("/weir/requests")
      #expect(refused.status == 401)
      let answer = try await server.get("/weir/requests", headers: ["authorization": "Bearer key"])
      #expect(answer.status == 200 && answer.json["requests"]?.array?.isEmpty == true)
      #expect(answer.json["handoffs"]?.array?.isEmpty == true && answer.json["sent_bytes"]?.int == 0)
    }
  }
}
