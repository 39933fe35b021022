// Tiny models of every family with the logits that transformers computed (Tests/Golden/models/make_golden.py).

import Foundation
import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels

/// One tiny model: its files are made from a formula of tensor names, so no weights are stored.
struct GoldenModel: Sendable, CustomTestStringConvertible {
  let name: String
  let entry: JSONValue
  let prompt: [TokenID]
  /// Positions whose logits are stored.
  let rows: [Int]

  var testDescription: String { name }
  var hasGGUF: Bool { entry["gguf"] != nil }
  var isGemma: Bool { entry["config"]?["model_type"]?.string?.hasPrefix("gemma") ?? false }
  var logits: [[Float]] { entry["logits"]?.array?.map { $0.floats } ?? [] }
  var lastHidden: [Float] { entry["lastHidden"]?.floats ?? [] }
  var greedy: [Int] { entry["greedy"]?.array?.compactMap(\.int) ?? [] }

  /// What rounding alone moves between the reference's own single and double precision runs, with room for another
  /// order of summation, and half a unit of the stored digits.
  var tolerance: Float { 8 * Float(entry["rounding"]?.double ?? 0) + 5e-7 }

  static let all: [GoldenModel] = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Golden/models/golden.json").standardizedFileURL
    guard let data = try? Data(contentsOf: url), let file = try? JSONValue.parse(utf8: Array(data)) else { return [] }
    let prompt = file["prompt"]?.array?.compactMap(\.int).map { TokenID($0) } ?? []
    let rows = file["rows"]?.array?.compactMap(\.int) ?? []
    return (file["models"]?.array ?? []).map {
      GoldenModel(name: $0["name"]?.string ?? "", entry: $0, prompt: prompt, rows: rows)
    }
  }()

  static func named(_ name: String) throws -> GoldenModel { try #require(all.first { $0.name == name }) }

  /// Numbers in [-1, 1) from a name: SplitMix64's finaliser over FNV-1a(name) plus the index.
  static func uniform(_ name: String, _ count: Int) -> [Float] {
    var seed: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { seed = (seed ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Float(generator.next() >> 40) * 0x1p-23 - 1 }
  }

  /// The checkpoint's tensors, in Hugging Face's names.
  func tensor(_ name: String) -> [Float] {
    let shape = entry["tensors"]?[name]?.array?.compactMap(\.int) ?? []
    let numbers = Self.uniform(name, shape.reduce(1, *))
    if name.contains("norm") { return numbers.map { isGemma ? $0 * 0.25 : 1 + $0 * 0.25 } }
    return name.contains("embed_tokens") ? numbers : numbers.map { $0 * 0.25 }
  }

  var tensorNames: [String] { entry["tensors"]?.object?.keys ?? [] }

  /// Opens the model as a Hugging Face folder, written to a temporary place.
  ///
  /// - Parameter change: may alter `config.json`, or leave out or add tensors (name, shape, values).
  func openFolder(
    config: (inout JSONObject) -> Void = { _ in }, without: Set<String> = [], extra: [(String, [Int])] = []
  ) throws -> ModelSource {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(name)-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var object = try #require(entry["config"]?.object)
    config(&object)
    try Data(JSONValue(object).serializedBytes()).write(to: folder.appendingPathComponent("config.json"))
    var header = JSONObject()
    var data: [UInt8] = []
    var parts = tensorNames.filter { !without.contains($0) }.map { name in
      (name, entry["tensors"]?[name]?.array?.compactMap(\.int) ?? [], tensor(name))
    }
    parts += extra.map { ($0.0, $0.1, Self.uniform($0.0, $0.1.reduce(1, *))) }
    for (name, shape, values) in parts {
      let first = data.count
      values.withUnsafeBytes { data.append(contentsOf: $0) }
      header[name] = [
        "dtype": "F32", "shape": JSONValue(shape.map { JSONValue($0) }),
        "data_offsets": [JSONValue(first), JSONValue(data.count)],
      ]
    }
    var headerBytes = JSONValue(header).serializedBytes()
    while headerBytes.count % 8 != 0 { headerBytes.append(0x20) }
    let file = withUnsafeBytes(of: UInt64(headerBytes.count).littleEndian) { Array($0) } + headerBytes + data
    try Data(file).write(to: folder.appendingPathComponent("model.safetensors"))
    // The mapping outlives the folder's name.
    return try ModelSource.open(path: folder.path)
  }

  /// Opens the model as a GGUF file in memory, its tensors named, permuted and stacked as llama.cpp's converter does.
  func openGGUF(perExpert: Bool = false, metadata change: (inout [String: JSONValue]) -> Void = { _ in }) throws
    -> ModelSource
  {
    let gguf = try #require(entry["gguf"])
    var writer = GGUFWriter()
    var metadata: [String: JSONValue] = [:]
    for (key, value) in try #require(gguf["metadata"]?.object) { metadata[key] = value }
    change(&metadata)
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { writer.set(value.metadata, for: key) }
    var data: [String: [Float]] = [:]
    func add(_ name: String, _ shape: [Int], _ values: [Float]) throws {
      try writer.declare(name, type: .f32, shape: shape)
      data[name] = values
    }
    for (name, value) in try #require(gguf["tensors"]?.object) {
      let shape = value["shape"]?.array?.compactMap(\.int) ?? []
      let sources = value["from"]?.array?.compactMap(\.string) ?? []
      let parts = sources.map { converted(tensor($0), op: value["op"]?.string ?? "copy") }
      if perExpert, parts.count > 1 {
        for (expert, part) in parts.enumerated() {
          try add(name.replacing("_exps", with: ".\(expert)"), Array(shape.dropFirst()), part)
        }
      } else {
        try add(name, shape, parts.flatMap { $0 })
      }
    }
    for (name, value) in gguf["factors"]?.object ?? JSONObject() { try add(name, [value.floats.count], value.floats) }
    let bytes = try writer.bytes { declaration in
      (data[declaration.name] ?? []).withUnsafeBytes { Array($0) }
    }
    return .gguf(try GGUFFile(file: MappedFile(copying: bytes, path: "\(name).gguf")))
  }

  private func converted(_ values: [Float], op: String) -> [Float] {
    switch op {
    case "add-one": return values.map { $0 + 1 }
    case "permute-q", "permute-k":
      let field = op == "permute-q" ? "num_attention_heads" : "num_key_value_heads"
      let heads = entry["config"]?[field]?.int ?? 1
      let dim = entry["config"]?["head_dim"]?.int ?? 1
      // Row 2i of a head comes from its row i, row 2i + 1 from its row i + dim / 2.
      let columns = values.count / (heads * dim)
      return (0..<(heads * dim)).flatMap { row in
        let (head, place) = row.quotientAndRemainder(dividingBy: dim)
        let source = head * dim + place / 2 + place % 2 * (dim / 2)
        return values[(source * columns)..<((source + 1) * columns)]
      }
    default: return values
    }
  }
}

extension JSONValue {
  var floats: [Float] { (array ?? []).compactMap { $0.double.map { Float($0) } } }

  /// As a converter would store it: whole numbers as uint32, others as float32.
  var metadata: MetadataValue {
    if let bool { return .bool(bool) }
    if let string { return .string(string) }
    if case .integer(let value) = self { return .uint32(UInt32(value)) }
    return .float32(Float(double ?? 0))
  }
}
