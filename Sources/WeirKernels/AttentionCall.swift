public import WeirBasics

// The values of a call of attention (primitive P2): runs of keys, groups of rows that share a run.

/// Consecutive slots that hold the keys and values of a sequence's prefix or suffix.
///
/// Keys have consecutive coordinates from `firstPosition` on. The coordinate decides in which span a key is summed;
/// without `positions` it is also the key's position.
public struct KVRun {
  /// Start of each block (layer 0); all full except possibly the last.
  public var blocks: [UnsafeRawPointer]
  /// Slot of the first key inside `blocks[0]`.
  public var firstSlot: Int
  /// Number of keys; may be 0.
  public var count: Int
  /// Coordinate of the first key.
  public var firstPosition: Position
  /// The position of each key. Nil: keys have consecutive positions.
  public var positions: [Int32]?
  /// Not nil: every layer and KV head holds its own keys, `count` is the longest lane's, and the run starts at
  /// coordinate 0 in slot 0.
  public var lanes: KVLanes?
  /// Whether the group's one row chooses among these keys, anew in every layer.
  public var isChosenFrom = false
  /// Not nil: that row reads these keys alone. The run starts at coordinate 0 in slot 0.
  public var choice: KVChoice?

  public init(
    blocks: [UnsafeRawPointer], firstSlot: Int = 0, count: Int, firstPosition: Position, positions: [Int32]? = nil,
    lanes: KVLanes? = nil
  ) {
    self.blocks = blocks
    self.firstSlot = firstSlot
    self.count = count
    self.firstPosition = firstPosition
    self.positions = positions
    self.lanes = lanes
  }
}

/// The lanes of one sequence whose KV policy kept other slots in every layer and KV head: slot `i` of a lane lies in
/// slot `i % blockSlots` of block `i / blockSlots`. The rows of the step follow at each lane's own end.
public struct KVLanes {
  /// Keys of each lane before the step, `[layers][kvHeads]`.
  public var older: [Int32]
  /// Position of each of them, ascending, in the order of `older`; empty: index and position are the same.
  public var positions: [[Int32]]
  /// Rows that the step appends to every lane.
  public var rows: Int
  /// Position of the first of these rows; the others follow it.
  public var firstPosition: Position

  public init(older: [Int32], positions: [[Int32]], rows: Int, firstPosition: Position) {
    self.older = older
    self.positions = positions
    self.rows = rows
    self.firstPosition = firstPosition
  }

  /// Keys of the longest lane, the step's rows included.
  public var longest: Int { Int(older.max() ?? 0) + rows }
}

/// Some of the keys of a run in one layer, other ones for each KV head. They are read where they lie.
public struct KVChoice {
  /// Slots of each KV head's keys, ascending, `[kvHeads]`; the last is the key of the row that reads.
  public var slots: [[Int32]]
  /// Position of each of them, in the order of `slots`; may be empty in a layer without a window.
  public var positions: [[Int32]]

  public init(slots: [[Int32]], positions: [[Int32]] = []) {
    self.slots = slots
    self.positions = positions
  }

  /// Keys of the head that reads most.
  var longest: Int { slots.reduce(0) { max($0, $1.count) } }
}

/// Query rows that attend over the same run: their keys are read once for all of them.
public struct AttentionGroup {
  /// Indices into the query rows of the call; no row twice.
  public var rows: [Int32]
  public var run: KVRun

  public init(rows: [Int32], run: KVRun) {
    self.rows = rows
    self.run = run
  }
}

/// One call of attention for one layer.
///
/// A row may be in several groups; its groups must come in ascending order of their runs, and the runs must not
/// overlap. Whether a row's keys come in one run or in several that meet at block boundaries changes no bit of its
/// result; neither do the other rows of the call.
public struct AttentionCall {
  /// `[n, heads * headDim]`, after the rotary embedding.
  public var query: Rows
  /// Position of each query row. A key is visible if its position is at most the row's and, with a window, greater
  /// than the row's minus `window`.
  public var rowPositions: [Int32]
  public var groups: [AttentionGroup]
  public var layer: Int
  public var shape: KVShape
  /// Query heads, a multiple of `shape.kvHeads`; head h reads KV head `h / (heads / kvHeads)`.
  public var heads: Int
  /// Factor of the scores, usually `1 / sqrt(headDim)`.
  public var scale: Float
  /// Scores become `softcap * tanh(score / softcap)`; 0: off.
  public var softcap: Float
  /// Keys that a row sees, itself included; 0: all.
  public var window: Int
  /// Whether keys after the row are visible too.
  public var bidirectional: Bool
  /// `[n, heads * headDim]`. Rows without a visible key get zeros.
  public var output: Rows

  public init(
    query: Rows, rowPositions: [Int32], groups: [AttentionGroup], layer: Int, shape: KVShape, heads: Int, scale: Float,
    softcap: Float = 0, window: Int = 0, bidirectional: Bool = false, output: Rows
  ) {
    self.query = query
    self.rowPositions = rowPositions
    self.groups = groups
    self.layer = layer
    self.shape = shape
    self.heads = heads
    self.scale = scale
    self.softcap = softcap
    self.window = window
    self.bidirectional = bidirectional
    self.output = output
  }
}

/// Attention that has not been normalised yet, so that results over other keys can still be merged in.
public final class PartialRows {
  /// Largest score of each row and head, `[1, n * heads]`; -1e30 where no key was seen.
  let maximum: FloatBuffer
  /// Sum of exp(score - maximum), `[1, n * heads]`.
  let weight: FloatBuffer
  /// Sum of exp(score - maximum) * value, `[n, heads * headDim]`.
  let values: FloatBuffer
  public let heads: Int
  public let headDim: Int
  public let count: Int

  /// States that have seen no key.
  public init(count: Int, heads: Int, headDim: Int) {
    precondition(count >= 0 && heads > 0 && headDim > 0, "partial rows need heads and elements")
    self.count = count
    self.heads = heads
    self.headDim = headDim
    maximum = FloatBuffer(rows: 1, columns: count * heads)
    weight = FloatBuffer(rows: 1, columns: count * heads)
    values = FloatBuffer(rows: count, columns: heads * headDim)
    for i in 0..<count * heads { maximum.rows.base[i] = -1e30 }
  }

  /// The state of one row and head; for passing it on to another node.
  public func partial(row: Int, head: Int) -> Partial {
    precondition(head >= 0 && head < heads, "head \(head) is not in 0..<\(heads)")
    let start = values.rows.row(row) + head * headDim
    let index = row * heads + head
    return Partial(
      maximum: maximum.rows.base[index], weight: weight.rows.base[index],
      values: Array(UnsafeBufferPointer(start: start, count: headDim)))
  }

  /// Replaces the state of one row and head.
  public func set(_ partial: Partial, row: Int, head: Int) {
    precondition(head >= 0 && head < heads, "head \(head) is not in 0..<\(heads)")
    precondition(partial.values.count == headDim, "the partial has \(partial.values.count) values, not \(headDim)")
    let start = values.rows.row(row) + head * headDim
    maximum.rows.base[row * heads + head] = partial.maximum
    weight.rows.base[row * heads + head] = partial.weight
    for (i, value) in partial.values.enumerated() { start[i] = value }
  }
}

/// A softmax-weighted sum over some keys, for one row and head.
public struct Partial: Sendable, Hashable {
  /// Largest score; -1e30 if there was no key.
  public var maximum: Float
  /// Sum of exp(score - maximum).
  public var weight: Float
  /// Sum of exp(score - maximum) * value.
  public var values: [Float]

  public init(maximum: Float, weight: Float, values: [Float]) {
    self.maximum = maximum
    self.weight = weight
    self.values = values
  }
}
