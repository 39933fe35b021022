// Scores by tag: every key of the items' tags, words by value, numbers by bin.

/// The scores of one run, whole and by tag.
public struct Breakdown: Sendable, Equatable {
  /// The items that share one value, or one bin, of one tag.
  public struct Group: Sendable, Equatable {
    public let label: String
    public var tally: Tally

    public init(label: String, tally: Tally) {
      self.label = label
      self.tally = tally
    }
  }

  /// All values of one tag key: words in alphabetical order, numbers ascending.
  public struct Section: Sendable, Equatable {
    public let key: String
    /// Whether the labels stand for numbers in ascending order, which makes a curve.
    public let isNumeric: Bool
    public var groups: [Group]
  }

  public private(set) var overall = Tally()
  /// In the order in which the keys first appear.
  public private(set) var sections: [Section] = []

  /// Keys whose numbers are binned always; other numbers only if they have more than ``plainValuesMax`` values, and then
  /// by tenths if all of them are shares.
  static let binnedKeys: Set<String> = ["context_tokens", "fact_distance"]
  static let plainValuesMax = 12

  /// - Parameters:
  ///   - results: items with whether each was answered rightly.
  ///   - bins: how numbers are put together.
  public init(_ results: [(item: TaskItem, isRight: Bool)], bins: NumberBins = .powersOfTwo) {
    var keys: [String] = []
    var pairs: [String: [(value: TaskTag.Value, isRight: Bool)]] = [:]
    for (item, isRight) in results {
      overall.add(isRight)
      for tag in item.tags {
        if pairs[tag.key] == nil { keys.append(tag.key) }
        pairs[tag.key, default: []].append((tag.value, isRight))
      }
    }
    sections = keys.map { Self.section($0, pairs[$0] ?? [], bins) }
  }

  /// The section of a key, nil if no item has it.
  public func section(_ key: String) -> Section? { sections.first { $0.key == key } }

  private struct Label: Hashable, Comparable {
    let order: Double
    let text: String
    static func < (a: Label, b: Label) -> Bool { (a.order, a.text) < (b.order, b.text) }
  }

  private static func section(
    _ key: String, _ pairs: [(value: TaskTag.Value, isRight: Bool)], _ bins: NumberBins
  ) -> Section {
    var numbers: Set<Double> = []
    var hasWords = false
    for pair in pairs {
      switch pair.value {
      case .number(let number): numbers.insert(number)
      case .word: hasWords = true
      }
    }
    let areShares = numbers.count > plainValuesMax && numbers.allSatisfy { (0...1).contains($0) }
    let isBinned = binnedKeys.contains(key) || numbers.count > plainValuesMax
    var tallies: [Label: Tally] = [:]
    for pair in pairs {
      let label: Label
      switch pair.value {
      case .word(let word): label = Label(order: .infinity, text: word)
      case .number(let number) where areShares:
        let tenth = min((number * 10).rounded(.down), 9)
        label = Label(
          order: tenth, text: NumberText.fixed(tenth / 10, 1) + "-" + NumberText.fixed((tenth + 1) / 10, 1))
      case .number(let number) where isBinned:
        let bin = bins.bin(of: number)
        label = Label(order: Double(bin.index), text: bin.label)
      case .number(let number): label = Label(order: number, text: NumberText.plain(number))
      }
      tallies[label, default: Tally()].add(pair.isRight)
    }
    let groups = tallies.sorted { $0.key < $1.key }.map { Group(label: $0.key.text, tally: $0.value) }
    return Section(key: key, isNumeric: !hasWords, groups: groups)
  }
}
