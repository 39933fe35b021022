// The models that Weir ships against a float64 reference over the weights of their files (Training/weirtrain/reference.py).

import Foundation
import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels
import WeirTestSupport

/// Files in `Models/`, and the golden values made from them.
enum BundledModels {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Models").standardizedFileURL

  static let golden: JSONValue = {
    guard let data = try? Data(contentsOf: Golden.url("models/bundled.json")),
      let file = try? JSONValue.parse(utf8: Array(data))
    else { return nil }
    return file
  }()

  static func load(_ path: String, _ instructionSet: InstructionSet = .best) throws -> DecoderModel {
    let context = KernelContext(instructionSet: instructionSet, pool: WorkerPool(threads: 1))
    return try DecoderModel(source: try ModelSource.open(path: path), context: context)
  }

  private static func halves(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 2).map { first in
      let low = UInt16(bytes[first])
      let high = UInt16(bytes[first + 1])
      return Float(Float16(bitPattern: high << 8 | low))
    }
  }

  private static func singles(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 4).map { first in
      var pattern: UInt32 = 0
      for part in (0..<4).reversed() { pattern = pattern << 8 | UInt32(bytes[first + part]) }
      return Float(bitPattern: pattern)
    }
  }

  /// The same model with every tensor widened to f32, which loses nothing of an f16 file.
  static func widened(_ file: GGUFFile, to path: String) throws {
    var writer = GGUFWriter()
    for key in file.metadataKeys { if let value = file.metadata[key] { writer.set(value, for: key) } }
    for name in file.tensorNames {
      let tensor = try #require(file.tensors[name])
      try writer.declare(name, type: .f32, shape: tensor.shape)
    }
    try writer.write(to: path) { declaration, sink throws(ModelFileError) in
      guard let tensor = file.tensors[declaration.name] else { return }
      let bytes = tensor.contents()
      let values = tensor.type == .f16 ? halves(bytes) : singles(bytes)
      // rethrows loses the error's type, so the outcome is carried out by hand
      var failure: ModelFileError?
      values.withUnsafeBytes { piece in
        do throws(ModelFileError) { try sink(piece) } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }
}

struct BundledGoldenTests {
  /// Logit error, as root mean square, that rounding explains; see QuantizedGoldenTests for the quantised case.
  private func tolerance(_ model: DecoderModel, rms: Float, largest: Float) -> Float {
    guard model.weightType == .q8_0 else { return roundingTolerance(model, largestLogit: largest) }
    let one: Float = 2.1 / 127 / Float(12).squareRoot()
    return 2 * one * Float(4 * model.description.layers + 1).squareRoot() * rms
  }

  private func compare(_ model: DecoderModel, _ file: String) throws {
    let entry = try #require(BundledModels.golden["files"]?[file], "no golden values for \(file)")
    let ids = BundledModels.golden["ids"]?.array?.compactMap(\.int) ?? []
    let rows = BundledModels.golden["rows"]?.array?.compactMap(\.int) ?? []
    let logits = TinyRun(model).append(ids.map { TokenID($0) })
    let allowed = tolerance(
      model, rms: Float(entry["rms"]?.double ?? 0), largest: Float(entry["largest"]?.double ?? 0))
    let expected = entry["logits"]?.array?.map(\.floats) ?? []
    try #require(rows.count == 4 && expected.count == rows.count)
    for (row, values) in zip(rows, expected) {
      try #require(values.count == logits[row].count)
      let squares = zip(logits[row], values).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let error = (squares / Float(values.count)).squareRoot()
      // 1e-5: half of the last digit that the golden file keeps, twice
      #expect(error <= allowed + 1e-5, "\(file) row \(row): off by \(error), allowed \(allowed)")
    }
    let greedy = entry["greedy"]?.array?.compactMap(\.int) ?? []
    let margins = entry["margin"]?.array?.compactMap(\.double) ?? []
    var compared = 0
    for (row, (token, margin)) in zip(greedy, margins).enumerated() where margin > Double(8 * allowed) {
      #expect(logits[row].argmax == token, "\(file) row \(row)")
      compared += 1
    }
    #expect(compared > ids.count / 4, "\(file): only \(compared) rows are clear enough to compare")
  }

  @Test(arguments: ["weir-chat-f16.gguf", "weir-moe-f16.gguf", "weir-chat-q8_0.gguf", "weir-moe-q8_0.gguf"])
  func givesTheLogitsOfTheReference(file: String) throws {
    let path = BundledModels.folder.appendingPathComponent(file).path
    for instructionSet in InstructionSet.available { try compare(BundledModels.load(path, instructionSet), file) }
  }

  @Test(arguments: ["weir-chat-f16.gguf", "weir-moe-f16.gguf"])
  func givesTheLogitsOfTheReferenceInSinglePrecision(file: String) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).gguf").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try BundledModels.widened(GGUFFile(path: BundledModels.folder.appendingPathComponent(file).path), to: path)
    let model = try BundledModels.load(path)
    #expect(model.weightType == .f32)
    try compare(model, file)
  }
}
