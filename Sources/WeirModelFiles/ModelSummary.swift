// What a person wants to know of a model file, as a value, as text and as JSON.

public import WeirBasics

/// A description of an opened model; `weir inspect` prints it.
public struct ModelSummary: Sendable {
  /// The tensors of one storage type together.
  public struct TypeShare: Sendable, Equatable {
    public let type: TensorType
    public var tensors = 0
    public var parameters = 0
    public var bytes = 0
  }

  /// One line of the tensor table.
  public struct TensorLine: Sendable, Equatable {
    public let name: String
    public let type: TensorType
    /// Slowest axis first.
    public let shape: [Int]
    public let bytes: Int
  }

  public let path: String
  /// `GGUF v3` or `Hugging Face folder`.
  public let format: String
  public let architecture: String?
  public let name: String?
  /// Keys in file order; long arrays are shortened.
  public let metadata: [(key: String, value: JSONValue)]
  /// In file order for GGUF, by name for folders.
  public let tensors: [TensorLine]
  /// Largest share of bytes first.
  public let types: [TypeShare]
  /// Tensors of types no kernel reads, with the type's name.
  public let unsupportedTensors: [String: String]

  public var parameters: Int { types.reduce(0) { $0 + $1.parameters } }
  public var bytes: Int { types.reduce(0) { $0 + $1.bytes } }

  /// Summarises a model; reads no tensor data.
  ///
  /// - Parameter source: the opened model.
  public init(_ source: ModelSource) {
    path = source.path
    architecture = source.architecture
    let views: [TensorView]
    switch source {
    case .gguf(let file):
      format = "GGUF v\(file.version)"
      name = file.metadata["general.name"]?.stringValue
      metadata = file.metadataKeys.compactMap { key in file.metadata[key].map { (key, $0.preview) } }
      views = file.tensorNames.compactMap { file.tensors[$0] }
      unsupportedTensors = [:]
    case .huggingFace(let folder):
      format = "Hugging Face folder"
      name = folder.config["_name_or_path"]?.string
      metadata = folder.config.object.map { config in config.map { (key: $0.0, value: $0.1.shortened()) } } ?? []
      views = folder.tensors.values.sorted { $0.name < $1.name }
      unsupportedTensors = folder.unsupportedTensors
    }
    tensors = views.map { TensorLine(name: $0.name, type: $0.type, shape: $0.shape, bytes: $0.bytes.count) }
    var shares: [TensorType: TypeShare] = [:]
    for view in views {
      var share = shares[view.type] ?? TypeShare(type: view.type)
      share.tensors += 1
      share.parameters += view.elementCount
      share.bytes += view.bytes.count
      shares[view.type] = share
    }
    types = shares.values.sorted { ($1.bytes, $0.type.rawValue) < ($0.bytes, $1.type.rawValue) }
  }

  /// The summary as lines for a terminal.
  ///
  /// - Parameter listsTensors: whether the tensor table is included.
  /// - Returns: lines, each ended by a line break.
  public func text(listsTensors: Bool = true) -> String {
    var lines = [
      "file          \(path)", "format        \(format)", "architecture  \(architecture ?? "not stated")",
    ]
    if let name { lines.append("name          \(name)") }
    lines.append("parameters    \(Self.grouped(parameters)) in \(tensors.count) tensors")
    lines.append("weights       \(Self.grouped(bytes)) bytes (\(Self.bits(bytes, parameters)) bits per parameter)")
    lines.append("types")
    for share in types {
      lines.append(
        "  \(Self.padded(share.type.name, 6)) \(share.tensors) tensors, \(Self.grouped(share.parameters)) parameters, "
          + "\(Self.grouped(share.bytes)) bytes")
    }
    lines.append("metadata")
    for (key, value) in metadata { lines.append("  \(key) = \(value.serialized(spaces: true))") }
    for (tensor, type) in unsupportedTensors.sorted(by: { $0.key < $1.key }) {
      lines.append("  tensor \(tensor) has the type \(type), which is not used")
    }
    if listsTensors {
      lines.append("tensors")
      let width = tensors.map(\.name.count).max() ?? 0
      for tensor in tensors {
        let shape = tensor.shape.map(String.init).joined(separator: " x ")
        lines.append("  \(Self.padded(tensor.name, width)) \(Self.padded(tensor.type.name, 5)) \(shape)")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The summary as JSON.
  public var json: JSONValue {
    [
      "path": JSONValue(path), "format": JSONValue(format),
      "architecture": architecture.map { .string($0) } ?? .null, "name": name.map { .string($0) } ?? .null,
      "parameters": JSONValue(parameters), "bytes": JSONValue(bytes),
      "types": .array(
        types.map {
          [
            "type": JSONValue($0.type.name), "tensors": JSONValue($0.tensors), "parameters": JSONValue($0.parameters),
            "bytes": JSONValue($0.bytes),
          ]
        }),
      "metadata": .object(JSONObject(metadata.map { ($0.key, $0.value) })),
      "tensors": .array(
        tensors.map {
          [
            "name": JSONValue($0.name), "type": JSONValue($0.type.name),
            "shape": .array($0.shape.map { JSONValue($0) }), "bytes": JSONValue($0.bytes),
          ]
        }),
      "unsupported_tensors": .object(
        JSONObject(unsupportedTensors.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
    ]
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// Digits in groups of three.
  private static func grouped(_ number: Int) -> String {
    var groups: [String] = []
    var rest = String(number)
    while rest.count > 3 {
      groups.insert(String(rest.suffix(3)), at: 0)
      rest = String(rest.dropLast(3))
    }
    return ([rest] + groups).joined(separator: " ")
  }

  private static func bits(_ bytes: Int, _ parameters: Int) -> String {
    guard parameters > 0 else { return "0" }
    return String((Double(bytes) * 80 / Double(parameters)).rounded() / 10)
  }
}

extension MetadataValue {
  /// The value for people: whole numbers and texts as they are, long arrays by their head and length.
  var preview: JSONValue {
    if let count = elementCount {
      let head = arrayHead(4)
      return count <= 8 ? .array(arrayHead(8)) : .object(["count": JSONValue(count), "first": .array(head)])
    }
    switch self {
    case .bool(let flag): return .bool(flag)
    case .string(let text): return .string(text.shortened())
    case .float32(let number): return JSONValue(number)
    case .float64(let number): return JSONValue(number)
    case .uint64(let number): return Int64(exactly: number).map { .integer($0) } ?? .number(Double(number))
    default: return intValue.map { JSONValue($0) } ?? .null
    }
  }

  private func arrayHead(_ count: Int) -> [JSONValue] {
    switch self {
    case .array(let items): items.prefix(count).map(\.preview)
    case .strings(let items): (0..<min(count, items.count)).map { .string(items.text($0).shortened()) }
    case .floats(let items): items.prefix(count).map { JSONValue($0) }
    case .ints(let items): items.prefix(count).map { .integer($0) }
    default: []
    }
  }
}

extension JSONValue {
  /// Long arrays and texts cut to a readable length, at every depth.
  func shortened() -> JSONValue {
    switch self {
    case .string(let text): return .string(text.shortened())
    case .array(let items) where items.count > 8:
      return .object(["count": JSONValue(items.count), "first": .array(items.prefix(4).map { $0.shortened() })])
    case .array(let items): return .array(items.map { $0.shortened() })
    case .object(let object): return .object(JSONObject(object.map { ($0.0, $0.1.shortened()) }))
    default: return self
    }
  }
}

extension String {
  fileprivate func shortened() -> String { count <= 120 ? self : "\(prefix(117))..." }
}
