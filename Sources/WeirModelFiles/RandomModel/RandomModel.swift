// Models with random weights in the shape of real ones, so that anybody can repeat a benchmark.

public import WeirBasics

/// Writes GGUF files of the llama architecture whose weights are drawn from a seed.
///
/// Speed does not depend on what weights say, so a random model of the right shape measures the same as a trained one
/// without a download. Its text is nonsense.
public enum RandomModel {
  /// A named shape.
  public enum Geometry: String, Sendable, CaseIterable {
    /// 1.4 million parameters: for tests.
    case tiny
    /// 25 million parameters.
    case million25 = "25m"
    /// 125 million parameters.
    case million125 = "125m"
    /// 1.1 billion parameters in TinyLlama's shape.
    case billion = "1.1b"
    /// The first four layers of `1.1b`: long contexts in little time.
    case billionFourLayers = "1.1b-4layer"

    /// Number of weights, norms included.
    public var parameters: Int { plan(shape, .f32).reduce(0) { $0 + $1.shape.reduce(1, *) } }

    public var shape: Shape {
      switch self {
      case .tiny:
        Shape(layers: 2, width: 256, heads: 4, kvHeads: 2, feedForward: 512, vocabulary: 512, context: 4096)
      case .million25:
        Shape(layers: 6, width: 512, heads: 8, kvHeads: 4, feedForward: 1536, vocabulary: 6144, context: 32768)
      case .million125:
        Shape(layers: 12, width: 768, heads: 12, kvHeads: 4, feedForward: 2048, vocabulary: 32000, context: 32768)
      case .billion:
        Shape(layers: 22, width: 2048, heads: 32, kvHeads: 4, feedForward: 5632, vocabulary: 32000, context: 32768)
      case .billionFourLayers:
        Shape(layers: 4, width: 2048, heads: 32, kvHeads: 4, feedForward: 5632, vocabulary: 32000, context: 32768)
      }
    }
  }

  /// The numbers of a llama-like decoder. Width and feed-forward length are multiples of 256, so that every storage
  /// type fits.
  public struct Shape: Sendable, Equatable {
    public let layers: Int
    public let width: Int
    public let heads: Int
    public let kvHeads: Int
    public let feedForward: Int
    public let vocabulary: Int
    public let context: Int

    public var headDim: Int { width / heads }
  }

  /// Draws and writes a model. The same arguments give the same bytes.
  ///
  /// Matrices are stored as `type`, except that `output.weight` is q6_K when `type` is a smaller K type, as llama.cpp
  /// has it; norms are f32.
  ///
  /// - Parameters:
  ///   - geometry: the shape.
  ///   - type: how matrices are stored.
  ///   - seed: of all draws.
  ///   - path: the file; replaced if it exists.
  ///   - progress: called with the written share of the file, `0...1`.
  /// - Throws: `ModelFileError` if the file cannot be written.
  public static func write(
    geometry: Geometry, type: TensorType, seed: UInt64, to path: String, progress: ((Double) -> Void)? = nil
  ) throws(ModelFileError) {
    let shape = geometry.shape
    let tensors = plan(shape, type)
    var writer = GGUFWriter()
    for (key, value) in metadata(geometry, type, seed) { writer.set(value, for: key) }
    for tensor in tensors { try writer.declare(tensor.name, type: tensor.type, shape: tensor.shape) }
    let total = Double(writer.tensors.reduce(0) { $0 + $1.byteCount })
    var written = 0
    var place = 0
    try writer.write(to: path) { declaration, sink throws(ModelFileError) in
      let tensor = tensors[place]
      let draw = WeightDraw(seed: seed, stream: UInt64(place), mean: tensor.mean, deviation: tensor.deviation)
      place += 1
      try draw.write(declaration, sink)
      written += declaration.byteCount
      progress?(Double(written) / total)
    }
  }

  struct Plan {
    let name: String
    let type: TensorType
    let shape: [Int]
    let mean: Float
    let deviation: Float
  }

  /// All tensors in file order. Deviations are chosen so that every layer's output has about unit variance and the
  /// residual stream grows by a constant factor over the whole depth.
  static func plan(_ shape: Shape, _ type: TensorType) -> [Plan] {
    func matrix(_ name: String, rows: Int, columns: Int, gain: Float = 1) -> Plan {
      Plan(name: name, type: type, shape: [rows, columns], mean: 0, deviation: gain / Float(columns).squareRoot())
    }
    func norm(_ name: String) -> Plan { Plan(name: name, type: .f32, shape: [shape.width], mean: 1, deviation: 0.05) }
    let residualGain = 1 / Float(2 * shape.layers).squareRoot()
    let kvWidth = shape.kvHeads * shape.headDim
    var tensors = [
      Plan(name: "token_embd.weight", type: type, shape: [shape.vocabulary, shape.width], mean: 0, deviation: 1)
    ]
    for layer in 0..<shape.layers {
      let prefix = "blk.\(layer)."
      tensors += [
        norm("\(prefix)attn_norm.weight"),
        matrix("\(prefix)attn_q.weight", rows: shape.width, columns: shape.width),
        matrix("\(prefix)attn_k.weight", rows: kvWidth, columns: shape.width),
        matrix("\(prefix)attn_v.weight", rows: kvWidth, columns: shape.width),
        matrix("\(prefix)attn_output.weight", rows: shape.width, columns: shape.width, gain: residualGain),
        norm("\(prefix)ffn_norm.weight"),
        matrix("\(prefix)ffn_gate.weight", rows: shape.feedForward, columns: shape.width),
        matrix("\(prefix)ffn_up.weight", rows: shape.feedForward, columns: shape.width),
        matrix("\(prefix)ffn_down.weight", rows: shape.width, columns: shape.feedForward, gain: residualGain),
      ]
    }
    let outputType: TensorType = [.q2_K, .q3_K, .q4_K, .q5_K].contains(type) ? .q6_K : type
    tensors += [
      norm("output_norm.weight"),
      Plan(
        name: "output.weight", type: outputType, shape: [shape.vocabulary, shape.width], mean: 0,
        deviation: 1 / Float(shape.width).squareRoot()),
    ]
    return tensors
  }

  private static func metadata(_ geometry: Geometry, _ type: TensorType, _ seed: UInt64) -> [(String, MetadataValue)] {
    let shape = geometry.shape
    let vocabulary = RandomVocabulary(size: shape.vocabulary)
    return [
      ("general.architecture", .string("llama")),
      ("general.name", .string("weir-random-\(geometry.rawValue)-\(type.name)-seed\(seed)")),
      ("general.file_type", .uint32(fileType(type))),
      ("general.quantization_version", .uint32(2)),
      ("llama.vocab_size", .uint32(UInt32(shape.vocabulary))),
      ("llama.block_count", .uint32(UInt32(shape.layers))),
      ("llama.context_length", .uint32(UInt32(shape.context))),
      ("llama.embedding_length", .uint32(UInt32(shape.width))),
      ("llama.feed_forward_length", .uint32(UInt32(shape.feedForward))),
      ("llama.attention.head_count", .uint32(UInt32(shape.heads))),
      ("llama.attention.head_count_kv", .uint32(UInt32(shape.kvHeads))),
      ("llama.attention.layer_norm_rms_epsilon", .float32(1e-5)),
      ("llama.rope.dimension_count", .uint32(UInt32(shape.headDim))),
      ("llama.rope.freq_base", .float32(10000)),
      ("tokenizer.ggml.model", .string("llama")),
      ("tokenizer.ggml.tokens", .strings(PackedStrings(vocabulary.pieces))),
      ("tokenizer.ggml.scores", .floats(vocabulary.scores)),
      ("tokenizer.ggml.token_type", .ints(vocabulary.kinds)),
      ("tokenizer.ggml.bos_token_id", .uint32(1)),
      ("tokenizer.ggml.eos_token_id", .uint32(2)),
      ("tokenizer.ggml.unknown_token_id", .uint32(0)),
      ("tokenizer.ggml.add_bos_token", .bool(true)),
      ("tokenizer.ggml.add_eos_token", .bool(false)),
    ]
  }

  /// llama.cpp's number for "mostly this type".
  private static func fileType(_ type: TensorType) -> UInt32 {
    switch type {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q2_K: 10
    case .q3_K: 11
    case .q4_K: 14
    case .q5_K: 16
    case .q6_K: 18
    case .bf16: 32
    }
  }
}
