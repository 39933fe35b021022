// SentenceKV's parts: where sentences begin, how buckets are made, what a step reads, what moves between the tiers.

import Testing
import WeirBasics
import WeirKVCache
import WeirPolicies

@Suite struct SentenceSplitterTests {
  /// The tokens of each sentence, joined.
  private func sentences(_ tokens: [String], tokensMax: Int = 64) -> [String] {
    var splitter = SentenceSplitter(tokensMax: tokensMax)
    var sentences: [String] = []
    for token in tokens {
      if splitter.begins(with: token) { sentences.append("") }
      sentences[sentences.count - 1] += token
    }
    return sentences
  }

  @Test func marksEndSentencesWhereWhiteSpaceFollows() {
    #expect(
      sentences(["It", " rains", ".", " It", " pours", "!", " Why", "?", " So"])
        == ["It rains.", " It pours!", " Why?", " So"])
    #expect(sentences(["Pi", " is", " 3", ".", "14", ".", " Good"]) == ["Pi is 3.14.", " Good"])
    #expect(sentences(["see", " weir", ".", "swift", " now"]) == ["see weir.swift now"])
    #expect(sentences(["Wait", "...", " what", "?!", " Yes"]) == ["Wait...", " what?!", " Yes"])
  }

  @Test func abbreviationsAndInitialsEndNothing() {
    #expect(sentences(["Dr", ".", " Who", " met", " J", ".", " Smith", "."]) == ["Dr. Who met J. Smith."])
    #expect(sentences(["Fruit", ",", " e", ".g", ".", " apples"]) == ["Fruit, e.g. apples"])
    #expect(sentences(["So", " did", " I", ".", " Then"]) == ["So did I.", " Then"])
  }

  @Test func closingQuotesBelongToTheSentence() {
    #expect(sentences(["\"", "Go", ".\"", " He", " went", ".)", "\n", "End"]) == ["\"Go.\"", " He went.)\n", "End"])
  }

  @Test func marksInsideLongerTokensAreSeen() {
    #expect(sentences(["Go", ".\n", "Stop", ". Now", " then"]) == ["Go.\n", "Stop. Now", " then"])
  }

  @Test func blankLinesAndWideMarksEndSentences() {
    #expect(sentences(["Title", "\n", "\n", "Text", " here"]) == ["Title\n\n", "Text here"])
    #expect(sentences(["Title", "\n", "Text"]) == ["Title\nText"])
    #expect(sentences(["你好", "。", "再见", "！」", "好"]) == ["你好。", "再见！」", "好"])
  }

  @Test func textWithoutMarksIsCut() {
    let words = Array(repeating: " a", count: 10)
    #expect(sentences(words, tokensMax: 4).map { $0.count / 2 } == [4, 4, 2])
  }

  /// How text is cut into tokens moves a boundary by less than one token.
  @Test func boundariesDoNotDependOnTheTokenizer() {
    let text = "The cat sat. The dog, Mr. Brown, ran 3.5 miles! \"Why?\" asked no one.\n\nA new day. "
    var whole = SentenceSplitter()
    let starts = text.enumerated().filter { whole.begins(with: String($0.element)) }.map(\.offset)
    #expect(starts.count == 5)
    for seed in 1...20 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      var splitter = SentenceSplitter()
      var place = 0
      var found: [Range<Int>] = []
      while place < text.count {
        let length = min(1 + Int(generator.next() % 4), text.count - place)
        let token = String(text.dropFirst(place).prefix(length))
        if splitter.begins(with: token) { found.append(place..<(place + length)) }
        place += length
      }
      #expect(found.count == starts.count, "seed \(seed)")
      for (token, start) in zip(found, starts) { #expect(abs(token.lowerBound - start) <= 4, "seed \(seed)") }
    }
  }
}

@Suite struct SentenceSelectionTests {
  private func lane(_ positions: [Position]) -> LaneView {
    LaneView(sequence: SequenceID(rawValue: 1), layer: 0, kvHead: 0, positions: positions)
  }

  /// Sentences of four tokens; the keys of sentence s point to s in `[sentences]`-dimensional space.
  private func buckets(_ sentences: Int, dropped: Set<Position> = []) -> (SentenceBuckets, LaneView, [Float]) {
    let kept = (0..<sentences * 4).filter { !dropped.contains($0) }
    let keys = kept.flatMap { position in (0..<sentences).map { Float($0 == position / 4 ? position % 4 + 1 : 0) } }
    let starts = (0..<sentences).map { $0 * 4 }
    return (SentenceBuckets(lane: lane(kept), keys: keys, starts: starts, end: sentences * 4), lane(kept), keys)
  }

  @Test func aVectorIsTheMeanOfTheKeptKeys() {
    let (buckets, _, _) = buckets(3, dropped: [4, 5, 8, 9, 10, 11])
    #expect(buckets.sentences == [0..<4, 4..<8], "a sentence without slots has no bucket")
    #expect(buckets.vectors == [2.5, 0, 0, 0, 3.5, 0])
  }

  @Test func theNearestSentencesAreReadWhole() {
    let (buckets, lane, _) = buckets(6)
    let selection = SentenceSelection(budgetSlots: 12, floors: RetentionFloors(sinkSlots: 2, recentSlots: 2))
    #expect(
      selection.selected(in: lane, query: [0, 0, 1, 0, 3, 0], buckets: buckets)
        == .only([0, 1, 8, 9, 10, 11, 16, 17, 18, 19, 22, 23]))
    // What is cut off is the end of the last sentence.
    let tight = SentenceSelection(budgetSlots: 10, floors: RetentionFloors(sinkSlots: 2, recentSlots: 2))
    #expect(
      tight.selected(in: lane, query: [0, 0, 1, 0, 3, 0], buckets: buckets)
        == .only([0, 1, 8, 9, 16, 17, 18, 19, 22, 23]))
  }

  @Test func tiesGoToTheEarlierSentence() {
    let (buckets, lane, _) = buckets(6)
    let selection = SentenceSelection(budgetSlots: 8, floors: RetentionFloors(sinkSlots: 0, recentSlots: 0))
    #expect(
      selection.selected(in: lane, query: [0, 1, 0, 1, 0, 1], buckets: buckets) == .only([4, 5, 6, 7, 12, 13, 14, 15]))
    #expect(
      selection.selected(in: lane, query: [Float](repeating: .nan, count: 6), buckets: buckets)
        == .only([0, 1, 2, 3, 4, 5, 6, 7]))
  }

  @Test func anAmpleBudgetReadsEverything() {
    let (buckets, lane, _) = buckets(6)
    #expect(SentenceSelection(budgetSlots: 24).selected(in: lane, query: [1, 0, 0, 0, 0, 0], buckets: buckets) == .all)
  }

  @Test func aLaneWithoutBucketsIsReadWhole() {
    #expect(SentenceSelection(budgetSlots: 4).selected(in: lane(Array(0..<9)), query: [1]) == .all)
  }

  /// What was asked first is found again when it is asked for later: the sentence is still there.
  @Test func theQueryIsTheMeanSinceTheSentenceBegan() {
    let (buckets, lane, keys) = buckets(4)
    let key = SentenceSelection.LaneKey(layer: 0, kvHead: 0)
    var selection = SentenceSelection(budgetSlots: 4, floors: RetentionFloors(sinkSlots: 0, recentSlots: 0))
    selection.lanes[key] = SentenceSelection.LaneState(buckets: buckets)
    // Two heads that look at different sentences: their mean decides.
    #expect(selection.selected(in: lane, query: [0, 5, 0, 0, 0, 0, 4, 0]) == .only([4, 5, 6, 7]))
    selection.stepDone(query: [0, 5, 0, 0, 0, 0, 4, 0], lane: key)
    #expect(selection.selected(in: lane, query: [0, 0, 2, 0, 0, 0, 0, 0]) == .only([8, 9, 10, 11]))
    let longer = self.lane(Array(0..<20))
    let more = keys + [Float](repeating: 0, count: 12) + [0, 0, 0, 9]
    selection.sentenceDone(16..<20, lane: longer, keys: more)
    #expect(selection.lanes[key]?.buckets.sentences.count == 5)
    // The queries of the sentence before are forgotten.
    #expect(selection.selected(in: longer, query: [0, 1, 0, 0, 0, 0, 0, 0]) == .only([4, 5, 6, 7]))
  }

  /// Budget, floors and order on random lanes.
  @Test func lawsHoldOnRandomLanes() {
    for seed in 1...100 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(generator.next() % UInt64(range.count)) }
      let end = pick(1...300)
      let kept = (0..<end).filter { _ in pick(0...3) > 0 }
      let headDim = pick(1...8)
      let keys = (0..<kept.count * headDim).map { _ in Float(generator.normalDouble()) }
      let starts = (0..<end).filter { _ in pick(0...9) == 0 }
      let lane = lane(kept)
      guard !kept.isEmpty else { continue }
      let buckets = SentenceBuckets(lane: lane, keys: keys, starts: starts, end: end)
      let floors = RetentionFloors(sinkSlots: pick(0...8), recentSlots: pick(0...8))
      let budget = pick(1...200)
      let query = (0..<headDim).map { _ in Float(generator.normalDouble()) }
      let slots = SentenceSelection(budgetSlots: budget, floors: floors)
        .selected(in: lane, query: query, buckets: buckets).indices(slots: kept.count)
      let context = "seed \(seed)"
      #expect(slots.count == min(budget, kept.count), "\(context): every slot is in a bucket, so the budget is used")
      #expect(slots == Array(Set(slots)).sorted(), "\(context)")
      let sinks = min(floors.sinkSlots, budget, kept.count)
      #expect(Array(slots.prefix(sinks)) == Array(0..<sinks), "\(context)")
      let recent = min(floors.recentSlots, budget - sinks, kept.count - sinks)
      #expect(Array(slots.suffix(max(0, recent))) == Array((kept.count - max(0, recent))..<kept.count), "\(context)")
    }
  }
}

@Suite struct HotTierTests {
  @Test func onlyWhatIsMissingMoves() {
    var tier = HotTier(capacitySlots: 4)
    #expect(tier.load([1, 2, 3]) == HotTier.Movement(promoted: [1, 2, 3], demoted: [], hits: 0))
    #expect(tier.load([2, 3, 9]) == HotTier.Movement(promoted: [9], demoted: [], hits: 2))
    #expect(tier.load([2, 7]) == HotTier.Movement(promoted: [7], demoted: [1], hits: 1))
    #expect(tier.load([3, 8, 9]) == HotTier.Movement(promoted: [8], demoted: [2], hits: 2))
    #expect(tier.positions == [3, 7, 8, 9])
  }

  @Test func neverMoreThanFitsAndAlwaysWhatIsRead() {
    for seed in 1...30 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let capacity = 1 + Int(generator.next() % 20)
      var tier = HotTier(capacitySlots: capacity)
      for _ in 0..<100 {
        let count = Int(generator.next() % UInt64(capacity + 1))
        let selected = Array(Set((0..<count).map { _ in Int(generator.next() % 50) })).sorted()
        let before = Set(tier.positions)
        let movement = tier.load(selected)
        let now = Set(tier.positions)
        #expect(now.count <= capacity && now.isSuperset(of: selected), "seed \(seed)")
        #expect(Set(movement.promoted).isDisjoint(with: before), "seed \(seed)")
        #expect(before.union(movement.promoted).subtracting(movement.demoted) == now, "seed \(seed)")
        #expect(movement.hits + movement.promoted.count == selected.count, "seed \(seed)")
      }
    }
  }
}
