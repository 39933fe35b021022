// What another node may take over of a sequence's lanes, and what it may not.

import Testing
import WeirBasics
import WeirKVCache

@Suite struct LaneStateTests {
  private struct Six: LayerBudget {
    func budgetSlots(layer: Int, kvHead: Int) -> Int? { 6 }
  }

  /// Reads the newest of eight slots and their neighbours; every fourth token begins a part.
  private struct Newest: Selection, TextBoundaries, TokenBoundaries {
    var heard = 0
    var readSlots: Int? { 8 }
    var boundaries: any TextBoundaries { self }
    var abstract: KeyAbstract { .mean }
    var averagesQueries: Bool { true }
    var comparesHeads: Bool { false }
    func isAsked(inLayer layer: Int) -> Bool { true }
    func selected(in lane: LaneParts) -> [Range<Int>] { [] }
    mutating func begins(with text: String) -> Bool { begins(with: TokenID(0)) }
    mutating func begins(with token: TokenID) -> Bool {
      heard += 1
      return heard % 4 == 1
    }
  }

  private func lanes(_ policy: KVPolicy, prompt: Int = 20) throws -> LaneTable {
    try #require(
      LaneTable(
        policy: policy, layers: 2, kvHeads: 2, promptTokens: prompt,
        reading: LaneReading(
          selection: policy.selection, boundaries: Newest(), promptTokens: prompt, lanes: 4, headDim: 4, groupHeads: 2,
          partGroup: 4)))
  }

  @Test(arguments: SlotNumbering.allCases) func lanesThatAreNumberedAnewAreEquallyLong(numbering: SlotNumbering) throws
  {
    let empty = try lanes(
      KVPolicy(budget: Six(), cadence: RetentionCadence(chunkTokens: 8, slackSlots: 4), numbering: numbering))
    var state = LaneState(
      computed: 20, answeredAt: 20, questions: 1, positions: Array(repeating: [0, 5, 18, 19], count: 4),
      masses: Array(repeating: [], count: 4))
    let restored = try #require(empty.restored(from: state))
    #expect(restored.state == state && restored.nextPosition == (numbering == .slots ? 4 : 20))
    state.positions[2] = [0, 5, 9, 18, 19]
    #expect((empty.restored(from: state) == nil) == (numbering == .slots))
  }

  @Test func whatRowsChooseByIsHandedOverBeforeTheyChoose() throws {
    let policy = KVPolicy(selection: Newest())
    let empty = try lanes(policy)
    let tokens = (0..<40).map { TokenID($0) }
    var whole = empty
    whole.advance(rows: 20)
    let state = try #require(whole.state)
    var restored = try #require(empty.restored(from: state))
    // Both hear the prompt with their first row, and know the same parts.
    #expect(whole.choosesKeys && restored.choosesKeys)
    #expect(whole.hear(tokens) == restored.hear(tokens) && whole.currentReading?.parts == 5)
    #expect(restored.currentReading?.starts(lane: 3) == whole.currentReading?.starts(lane: 3))
    #expect(whole.state == nil && restored.state == nil)
    // Nobody takes over rows behind the prompt: those have chosen.
    var late = state
    late.computed = 21
    #expect(empty.restored(from: late) == nil)
  }
}
