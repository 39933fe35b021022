// What a step asks of the model.

public import WeirBasics
public import WeirKernels

/// The rows of one sequence in a batch, and the blocks that hold its keys and values.
public struct BatchSequence {
  /// Block table resolved to addresses: enough blocks for every position of this step.
  public var blocks: [UnsafeMutableRawPointer]
  /// Rows of the batch that belong to this sequence, in ascending order of position.
  public var rows: Range<Int>
  /// Position of the first row.
  public var firstPosition: Position
  /// Leading blocks that are physically the same in every sequence of `sharedGroup`, full, and older than this step.
  public var sharedBlocks: Int
  /// Sequences with the same number here attend to their shared blocks together; -1: none.
  public var sharedGroup: Int
  /// Not nil: a KV policy has compacted the sequence; its rows follow at the end of each lane, and it shares no blocks.
  public var lanes: KVLanes?
  /// Its one row reads only keys that `ForwardBatch.chooser` names; it shares no blocks.
  public var choosesKeys = false

  public init(
    blocks: [UnsafeMutableRawPointer], rows: Range<Int>, firstPosition: Position, sharedBlocks: Int = 0,
    sharedGroup: Int = -1, lanes: KVLanes? = nil
  ) {
    precondition(lanes == nil || sharedGroup < 0, "retained lanes share no blocks")
    self.blocks = blocks
    self.rows = rows
    self.firstPosition = firstPosition
    self.sharedBlocks = sharedBlocks
    self.sharedGroup = sharedGroup
    self.lanes = lanes
  }
}

/// Told after the attention of every layer: the layer, and the queries of all rows after the rotary embedding,
/// `[rows, heads * headDim]`. Keys and values of the rows are in their slots by then.
public typealias AttentionObserver = (_ layer: Int, _ query: Rows) -> Void

/// Asked before the attention of every layer what the rows of sequences that choose their keys read. Their own keys and
/// values are in their slots by then.
///
/// - Parameters:
///   - layer: which.
///   - query: queries after the rotary embedding, `[rows, heads * headDim]`.
///   - rows: for each choosing sequence, in the order of the batch, its row in `query`.
/// - Returns: one choice per such sequence; nil reads everything.
public typealias KeyChooser = (_ layer: Int, _ query: Rows, _ rows: [Int]) -> [KVChoice?]

/// One ordinary step: prefill chunks and decode rows of any number of sequences.
public struct ForwardBatch {
  /// One token per row.
  public var tokens: [TokenID]
  /// One position per row; consecutive inside a sequence.
  public var positions: [Int32]
  public var sequences: [BatchSequence]
  /// Rows whose logits are wanted.
  public var outputRows: [Int]
  /// The hidden state after the last norm is wanted, of every row (`ForwardWorkspace.finalHidden`).
  public var wantHidden: Bool
  /// Nil where no KV policy wants to know; a step with an observer computes every row of the last layer.
  public var observer: AttentionObserver?
  /// Nil where no sequence chooses its keys.
  public var chooser: KeyChooser?

  public init(
    tokens: [TokenID] = [], positions: [Int32] = [], sequences: [BatchSequence] = [], outputRows: [Int] = [],
    wantHidden: Bool = false
  ) {
    self.tokens = tokens
    self.positions = positions
    self.sequences = sequences
    self.outputRows = outputRows
    self.wantHidden = wantHidden
  }
}

/// What the row executor runs (P4): any ascending subset of positions of each sequence, through any range of layers.
public struct RowPlan {
  /// What goes into the first layer of the plan.
  public enum Input {
    /// One token per row: the plan starts with the embedding.
    case tokens([TokenID])
    /// Hidden states between layers, `[rows, width]`.
    case hidden(Rows)
  }

  public var input: Input
  /// One absolute position per row; strictly ascending inside a sequence, gaps allowed.
  public var positions: [Int32]
  /// Keys each row may see: those at positions below its number. nil: up to and including its own position.
  public var keyLimits: [Int32]?
  /// Whose rows they are. `firstPosition` is not read here: `positions` says it.
  public var sequences: [BatchSequence]
  public var layers: Range<Int>
  /// Every row sees every key of its sequence that `keyCounts` names, also later ones.
  public var isBidirectional = false
  /// Keys present per sequence, for bidirectional plans; nil: as many as the rows' limits need.
  public var keyCounts: [Int]?
  /// Rows whose logits are wanted; only if the plan ends with the last layer.
  public var outputRows: [Int] = []
  /// The normed hidden state of every row is wanted; only if the plan ends with the last layer.
  public var wantHidden = false
  /// The states of rows without logits are not wanted: the last layer may leave them out.
  var dropsOtherRows = false
  /// Told of every layer's attention.
  public var observer: AttentionObserver?
  /// Asked before it, if a sequence chooses its keys.
  public var chooser: KeyChooser?

  public init(input: Input, positions: [Int32], sequences: [BatchSequence], layers: Range<Int>) {
    self.input = input
    self.positions = positions
    self.sequences = sequences
    self.layers = layers
  }
}

/// What the row executor hands back; views into the workspace, valid until its next use.
public struct RowResult {
  /// Hidden states after the last layer of the plan, before any final norm: `[rows, width]`.
  public let hidden: Rows
  /// Logits `[outputRows, vocabulary]`; no rows if none were asked for.
  public let logits: Rows
}
