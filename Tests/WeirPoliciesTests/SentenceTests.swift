// SentenceKV's parts: where sentences begin, how buckets are made, what a step reads, what moves between the tiers.

import Foundation
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
  /// Sentences of four tokens; the keys of sentence s point to s in `[sentences]`-dimensional space.
  private func buckets(_ sentences: Int, dropped: Set<Int> = []) -> SentenceBuckets {
    let kept = (0..<sentences * 4).filter { !dropped.contains($0) }
    var keys = [[Float]](repeating: [Float](repeating: 0, count: sentences), count: sentences * 4)
    for position in keys.indices { keys[position][position / 4] = Float(position % 4 + 1) }
    return SentenceBuckets(sizes: Array(repeating: 4, count: sentences), kept: kept, keys: keys)
  }

  private func selection(_ budget: Int, sinks: Int = 0, recent: Int = 0) -> SentenceSelection {
    SentenceSelection(budgetSlots: budget, floors: RetentionFloors(sinkSlots: sinks, recentSlots: recent))
  }

  @Test func theNearestSentencesAreReadWhole() {
    let parts = buckets(6).parts(query: [0, 0, 1, 0, 3, 0])
    #expect(selection(12, sinks: 2, recent: 2).selected(in: parts) == [8..<12, 16..<20])
    // What is cut off is the end of the last sentence.
    #expect(selection(10, sinks: 2, recent: 2).selected(in: parts) == [8..<10, 16..<20])
    #expect(selection(24).selected(in: parts) == [0..<24])
  }

  @Test func tiesGoToTheEarlierSentence() {
    let buckets = buckets(6)
    #expect(selection(8).selected(in: buckets.parts(query: [0, 1, 0, 1, 0, 1])) == [4..<8, 12..<16])
    #expect(
      selection(8).selected(in: buckets.parts(query: [Float](repeating: .nan, count: 6))) == [0..<4, 4..<8])
  }

  /// Its mean would be zero, which outranks every sentence that the query turns away from.
  @Test func aSentenceWithoutSlotsIsPassedOver() {
    let parts = buckets(3, dropped: [4, 5, 6, 7]).parts(query: [-1, -1, -2])
    #expect(parts.starts == [0, 4, 4, 8] && parts.likenesses[1] == 0)
    #expect(selection(4).selected(in: parts) == [0..<4])
  }

  /// The nearest abstract counts, whatever it stands beside; a sentence that has only begun is none.
  @Test func aSentenceIsAsNearAsItsNearestVector() {
    let parts = LaneParts(
      slots: 13, starts: [0, 4, 8, 8, 12], likenesses: [-5, 7, -1, .nan], firsts: [0, 2, 4])
    #expect(parts == LaneParts(slots: 13, starts: [0, 8, 12], likenesses: [7, -1]))
  }

  @Test func aSentenceIsAsNearAsItsNearestKey() {
    let parts = LaneParts(slots: 8, starts: [0, 3, 3, 5, 6], keys: [-5, .nan, 7, -2, -1, .nan])
    #expect(
      parts == LaneParts(slots: 8, starts: [0, 3, 3, 5, 6], likenesses: [7, -.infinity, -1, -.infinity]))
  }

  /// A head whose products all lie higher does not hide what the other one looks at.
  @Test func sharesMakeHeadsComparable() {
    let starts: [Int32] = [0, 4, 8, 8]
    let loud = LaneParts.shares(products: [50, 50, 90], starts: starts, scale: 1)
    let quiet = LaneParts.shares(products: [0, 9, 0], starts: starts, scale: 1)
    #expect(abs(loud[0] - log(Float(0.5))) < 1e-5 && loud[1] == loud[0] && loud[2] == -.infinity)
    #expect(quiet[1] > loud[1] && quiet[1] < 0)
    let twice = LaneParts.shares(products: [0, 0], starts: [0, 1, 3], scale: 1)
    #expect(abs(twice[1] - twice[0] - log(Float(2))) < 1e-6)
  }

  @Test func layersMayReadEverything() {
    let some = SentenceSelection(
      budgetSlots: 9, configuration: SentenceSelection.Configuration(denseLayers: 2),
      floors: RetentionFloors(sinkSlots: 0, recentSlots: 0))
    #expect((0..<4).map { some.isAsked(inLayer: $0) } == [false, false, true, true])
  }

  /// Budget, floors and order on random lanes, and that no sentence left out is nearer than one that was taken.
  @Test func lawsHoldOnRandomLanes() {
    for seed in 1...100 as ClosedRange<UInt64> {
      var generator = SeededGenerator(seed: seed)
      func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(generator.next() % UInt64(range.count)) }
      var starts: [Int32] = [0]
      for _ in 0..<pick(1...60) { starts.append((starts.last ?? 0) + Int32(pick(0...12))) }
      let slots = Int(starts.last ?? 0) + 1
      let parts = LaneParts(
        slots: slots, starts: starts, likenesses: starts.dropFirst().map { _ in Float(pick(-9...9)) })
      let policy = selection(pick(1...200), sinks: pick(0...8), recent: pick(1...8))
      let budget = policy.readSlots ?? 0
      let wanted = policy.selected(in: parts)
      let read = Set(policy.floors.apply(to: wanted, slots: slots, readSlots: budget).flatMap { $0 })
      let context = "seed \(seed)"
      #expect(zip(wanted, wanted.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound }, "\(context)")
      #expect(read.count == min(budget, slots), "\(context): every older slot is in a sentence, so the budget is used")
      let middle = Set(policy.floors.sinkSlots..<max(policy.floors.sinkSlots, slots - policy.floors.recentSlots))
      var (worstTaken, bestLeft) = (Float.infinity, -Float.infinity)
      for (part, likeness) in parts.likenesses.enumerated() {
        let own = Set(Int(starts[part])..<Int(starts[part + 1])).intersection(middle)
        if own.isEmpty { continue }
        if !own.isDisjoint(with: read) { worstTaken = min(worstTaken, likeness) }
        if !own.isSubset(of: read) { bestLeft = max(bestLeft, likeness) }
      }
      #expect(read.count == slots || budget < policy.floors.sinkSlots + 9 || bestLeft <= worstTaken, "\(context)")
    }
  }
}
