// All scratch memory of a step, made once.

public import WeirKernels

/// Scratch memory for steps of up to `maxRows` rows. One step at a time; grows only for more logits rows.
public final class ForwardWorkspace {
  public let maxRows: Int
  let hidden: FloatBuffer
  let normed: FloatBuffer
  let query: FloatBuffer
  let key: FloatBuffer
  let value: FloatBuffer
  let attention: FloatBuffer
  let part: FloatBuffer
  let gate: FloatBuffer
  let up: FloatBuffer
  let experts: ExpertScratch?
  private(set) var outputHidden: FloatBuffer
  private(set) var logits: FloatBuffer
  private(set) var logitRows: Int
  private let width: Int
  private let vocabularySize: Int
  var finalRows = 0

  /// - Parameters:
  ///   - model: the model that will run.
  ///   - maxRows: rows of the largest step, at least 1.
  ///   - logitRows: logits rows to make room for at once; more are added when a step asks for them.
  public init(model: DecoderModel, maxRows: Int, logitRows: Int = 8) {
    precondition(maxRows > 0 && logitRows > 0, "a workspace needs at least one row")
    let d = model.description
    self.maxRows = maxRows
    self.logitRows = min(logitRows, maxRows)
    width = d.width
    vocabularySize = d.vocabularySize
    hidden = FloatBuffer(rows: maxRows, columns: d.width)
    normed = FloatBuffer(rows: maxRows, columns: d.width)
    query = FloatBuffer(rows: maxRows, columns: d.heads * d.headDim)
    key = FloatBuffer(rows: maxRows, columns: d.kvHeads * d.headDim)
    value = FloatBuffer(rows: maxRows, columns: d.kvHeads * d.headDim)
    attention = FloatBuffer(rows: maxRows, columns: d.heads * d.headDim)
    part = FloatBuffer(rows: maxRows, columns: d.width)
    let inner = ForwardWorkspace.innerWidth(d)
    gate = FloatBuffer(rows: maxRows, columns: inner)
    up = FloatBuffer(rows: maxRows, columns: inner)
    experts = d.experts.map { ExpertScratch(maxRows: maxRows, width: d.width, experts: $0) }
    outputHidden = FloatBuffer(rows: self.logitRows, columns: d.width)
    logits = FloatBuffer(rows: self.logitRows, columns: d.vocabularySize)
  }

  /// Widest inner row of a part that every token runs through.
  static func innerWidth(_ d: DecoderDescription) -> Int {
    let dense = d.layerKinds.contains { !$0.usesExperts }
    return max(dense ? d.feedForwardWidth : 1, d.experts?.sharedWidth ?? 0)
  }

  /// The last step's hidden states after the final norm, if it asked for them: `[rows, width]`.
  public var finalHidden: Rows { normed.view(rows: finalRows) }

  /// The last step's states after the final norm of the rows whose logits it gave: `[room, width]`; rows behind those
  /// are left over.
  public var outputStates: Rows { outputHidden.view(rows: logitRows) }

  func reserveLogits(_ rows: Int) {
    guard rows > logitRows else { return }
    logitRows = min(maxRows, max(rows, 2 * logitRows))
    outputHidden = FloatBuffer(rows: logitRows, columns: width)
    logits = FloatBuffer(rows: logitRows, columns: vocabularySize)
  }
}

/// Scratch memory of a mixture of experts: rows sorted by expert.
final class ExpertScratch {
  let scores: FloatBuffer
  let sharedScore: FloatBuffer
  let input: FloatBuffer
  let gate: FloatBuffer
  let up: FloatBuffer
  let output: FloatBuffer
  /// Chosen experts `[rows, used]`, ascending in each row, with their weights and where their rows went.
  var chosen: [Int]
  var weights: [Float]
  var places: [Int]
  /// First sorted row of each expert, one more at the end.
  var starts: [Int]
  var cursors: [Int]

  init(maxRows: Int, width: Int, experts: ExpertDescription) {
    let slots = maxRows * experts.used
    scores = FloatBuffer(rows: maxRows, columns: experts.count)
    sharedScore = FloatBuffer(rows: maxRows, columns: 1)
    input = FloatBuffer(rows: slots, columns: width)
    gate = FloatBuffer(rows: slots, columns: experts.width)
    up = FloatBuffer(rows: slots, columns: experts.width)
    output = FloatBuffer(rows: slots, columns: width)
    chosen = Array(repeating: 0, count: slots)
    weights = Array(repeating: 0, count: slots)
    places = Array(repeating: 0, count: slots)
    starts = Array(repeating: 0, count: experts.count + 1)
    cursors = Array(repeating: 0, count: experts.count)
  }
}
