// Finds tensors by role, checks their shapes and turns them into weights.

import WeirBasics
import WeirKernels
import WeirModelFiles

/// Reads the tensors of one model. A tensor of a layer that nobody asked for is an error: the model would run, wrongly.
struct TensorReader {
  let description: DecoderDescription
  let context: KernelContext
  private let tensors: [String: TensorView]
  private let progress: (@Sendable (Double) -> Void)?
  private let totalBytes: Int
  private var readBytes = 0
  private var used: Set<String> = []

  init(
    _ source: ModelSource, description: DecoderDescription, context: KernelContext,
    progress: (@Sendable (Double) -> Void)?
  ) {
    self.description = description
    self.context = context
    self.progress = progress
    tensors = source.tensors
    totalBytes = max(1, tensors.values.reduce(0) { $0 + $1.bytes.count })
  }

  /// The tensor of a role, or nil if the file has none.
  mutating func find(_ role: TensorRole, layer: Int = 0, expert: Int = 0) -> TensorView? {
    for name in description.names.candidates(role, layer: layer, expert: expert) {
      if let view = tensors[name] {
        used.insert(name)
        return view
      }
    }
    return nil
  }

  func has(_ role: TensorRole, layer: Int = 0) -> Bool {
    description.names.candidates(role, layer: layer).contains { tensors[$0] != nil }
  }

  /// The tensor of a role that the model cannot do without.
  mutating func require(_ role: TensorRole, layer: Int = 0, expert: Int = 0) throws(ModelError) -> TensorView {
    if let view = find(role, layer: layer, expert: expert) { return view }
    let name = description.names.candidates(role, layer: layer, expert: expert).first ?? role.rawValue
    throw ModelError(
      .missingTensor, name, "the file lacks it; \(description.architecture) needs it as \(role.rawValue)")
  }

  /// A norm weight or bias of `count` elements; nil if the file has none and the family can do without.
  mutating func vector(
    _ role: TensorRole, layer: Int = 0, count: Int, isNorm: Bool = false
  ) throws(ModelError) -> WeightVector? {
    guard description.required.contains(role) || has(role, layer: layer) else { return nil }
    return try vector(try require(role, layer: layer), range: 0..<count, total: count, isNorm: isNorm)
  }

  /// A norm weight that every family has.
  mutating func norm(_ role: TensorRole, layer: Int = 0, count: Int) throws(ModelError) -> WeightVector {
    try vector(try require(role, layer: layer), range: 0..<count, total: count, isNorm: true)
  }

  /// Elements `range` of a one-dimensional tensor of `total` elements.
  mutating func vector(
    _ view: TensorView, range: Range<Int>, total: Int, isNorm: Bool = false
  ) throws(ModelError) -> WeightVector {
    guard view.elementCount == total, view.shape.filter({ $0 != 1 }).count <= 1 else {
      throw ModelError(.wrongShape, view.name, "its shape is \(view.shape), it must be [\(total)]")
    }
    try validate(view)
    let vector = WeightVector(count: range.count)
    let offset: Float = isNorm && description.normsStoreOffset ? 1 : 0
    for (place, index) in range.enumerated() {
      let value: Float
      switch view.type {
      case .f32: value = view.bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
      case .f16:
        value = halfToFloat(view.bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
      case .bf16:
        value = Float(
          bitPattern: UInt32(view.bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)) << 16)
      default:
        throw ModelError(
          .unsupported, view.name, "norms and biases must be f32, f16 or bf16, not \(view.type.name)")
      }
      vector.values[place] = value + offset
    }
    account(view.bytes.count)
    return vector
  }

  /// A whole matrix.
  mutating func matrix(_ view: TensorView, rows: Int, columns: Int) throws(ModelError) -> WeightMatrix {
    try matrix(view, rows: rows, columns: columns, first: 0, total: rows)
  }

  /// `rows` rows from `first` on, of a tensor of `total` rows (fused and stacked tensors hold several matrices).
  mutating func matrix(
    _ view: TensorView, rows: Int, columns: Int, first: Int, total: Int
  ) throws(ModelError) -> WeightMatrix {
    guard view.columns == columns, view.rows == total else {
      throw ModelError(
        .wrongShape, view.name, "its shape is \(view.shape), it must hold \(total) rows of \(columns)")
    }
    guard let rowBytes = view.type.rowBytes(elements: columns), rowBytes * total <= view.bytes.count else {
      throw ModelError(
        .badTensor, view.name, "rows of \(columns) elements do not fill blocks of \(view.type.name)")
    }
    if first == 0 { try validate(view) }
    let part = UnsafeRawBufferPointer(rebasing: view.bytes[(first * rowBytes)..<((first + rows) * rowBytes)])
    do {
      let matrix = try WeightMatrix(
        rows: rows, columns: columns, type: view.type, source: part, owner: view.owner, context: context)
      // The packed copy is what runs; the file's pages need not stay in memory beside it.
      view.owner.releasePages(part)
      account(part.count)
      return matrix
    } catch {
      throw ModelError(.badTensor, view.name, error.message)
    }
  }

  private func validate(_ view: TensorView) throws(ModelError) {
    do {
      try view.validateScales()
    } catch {
      throw ModelError(.badTensor, view.name, error.message)
    }
  }

  private mutating func account(_ bytes: Int) {
    readBytes += bytes
    progress?(min(1, Double(readBytes) / Double(totalBytes)))
  }

  /// Throws if a layer of the model has tensors that were not read.
  func checkAllUsed() throws(ModelError) {
    let prefix = description.names.layerPrefix
    let ignored = ["rotary_emb.inv_freq", "attn_rot_embd", "masked_bias", "rope_freqs"]
    let unread = tensors.keys.filter { name in
      guard name.hasPrefix(prefix), !used.contains(name), !ignored.contains(where: name.contains) else { return false }
      let layer = name.dropFirst(prefix.count).prefix { $0.isNumber }
      // Layers beyond the model's own are extras such as multi-token prediction.
      return Int(layer).map { $0 < description.layers } ?? false
    }
    guard let first = unread.min() else { return }
    throw ModelError(
      .unexpectedTensor, first,
      "\(unread.count) tensors are not part of a \(description.architecture) model as we know it; it would run wrongly")
  }
}

/// IEEE half to single; the standard library lacks Float16 on some x86 systems.
func halfToFloat(_ bits: UInt16) -> Float {
  let sign: Float = bits & 0x8000 == 0 ? 1 : -1
  let exponent = Int(bits >> 10) & 31
  let fraction = Float(bits & 1023)
  switch exponent {
  case 0: return sign * fraction * 0x1p-24
  case 31: return fraction == 0 ? sign * .infinity : .nan
  default: return sign * (1 + fraction * 0x1p-10) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
  }
}
