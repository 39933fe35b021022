// From products with abstracts to one likeness for each part.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension LaneParts {
  /// Parts that have several abstracts each, as near as the nearest of them.
  ///
  /// - Parameters:
  ///   - slots: resident slots.
  ///   - starts: first slot of each abstract's keys, and the end of the last.
  ///   - likenesses: one for each abstract.
  ///   - firsts: first abstract of each part, ascending; a part without any has been begun and has no key yet.
  public init(slots: Int, starts: [Int32], likenesses: [Float], firsts: [Int32]) {
    var (ends, nearest): ([Int32], [Float]) = ([], [])
    for (part, first) in firsts.enumerated() {
      let end = part + 1 < firsts.count ? Int(firsts[part + 1]) : likenesses.count
      if Int(first) >= end { continue }
      ends.append(starts[Int(first)])
      // What is not a number is worth nothing, and must not hide what is.
      let numbers = likenesses[Int(first)..<end].filter { !$0.isNaN }
      nearest.append(numbers.max() ?? -.infinity)
    }
    if let end = starts.last { ends.append(end) }
    self.init(slots: slots, starts: ends, likenesses: nearest)
  }

  /// Parts as near as the nearest of their keys; an empty part is nearer to nothing.
  ///
  /// - Parameters:
  ///   - slots: resident slots.
  ///   - starts: first slot of each part, and the end of the last.
  ///   - keys: likeness of each slot before that end.
  public init(slots: Int, starts: [Int32], keys: [Float]) {
    let nearest = zip(starts, starts.dropFirst()).map { start, end in
      // What is not a number is worth nothing, and must not hide what is: it is never the larger.
      keys[Int(start)..<Int(end)].reduce(-Float.infinity) { $1 > $0 ? $1 : $0 }
    }
    self.init(slots: slots, starts: starts, likenesses: nearest)
  }

  /// Logarithms of the shares of attention that a query head would spend on parts whose keys were all like their
  /// abstracts: the softmax over products, a part counting as often as it has slots. Heads whose products lie on
  /// different scales can then be compared; empty parts get none.
  ///
  /// - Parameters:
  ///   - products: of the query with each abstract.
  ///   - starts: first slot of each abstract's keys, and the end of the last.
  ///   - scale: of the model's attention.
  public static func shares(products: [Float], starts: [Int32], scale: Float) -> [Float] {
    precondition(starts.count == products.count + 1, "\(products.count) products need one start more")
    let scores = products.indices.map { part in
      products[part] * scale + log(Float(starts[part + 1] - starts[part]))
    }
    let highest = scores.reduce(-Float.infinity) { max($0, $1) }
    guard highest.isFinite else { return scores }
    let whole = highest + log(scores.reduce(0) { $0 + ($1.isNaN ? 0 : exp($1 - highest)) })
    return scores.map { $0 - whole }
  }
}
