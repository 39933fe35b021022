// Quantised files against a float64 reference that decodes them with gguf-py and rounds no activations.

import Foundation
import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels
import WeirTestSupport

@Suite(.enabled(if: SharedModels.available, "needs ../shared/data/derived"))
struct QuantizedGoldenTests {
  static let golden: JSONValue = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../Golden/models/quantized.json").standardizedFileURL
    guard let data = try? Data(contentsOf: url), let file = try? JSONValue.parse(utf8: Array(data)) else { return nil }
    return file
  }()

  /// Logit error, as root mean square, that the kernels' rounding explains.
  ///
  /// f16 weights are exact, so f32 rounding is all. For quantised weights, activations are rounded to 8 bits per 32
  /// columns: a step of max/127, an error of step/sqrt(12), where the largest of 32 normal numbers is about 2.1 times
  /// their root mean square. Each of a layer's four products and the output product adds that much, independently.
  /// The factor 2 allows for activations that are not normal.
  func tolerance(_ model: DecoderModel, rms: Float) -> Float {
    guard model.weightType != .f16 else { return roundingTolerance(model, largestLogit: 4 * rms) }
    let one: Float = 2.1 / 127 / Float(12).squareRoot()
    return 2 * one * Float(4 * model.description.layers + 1).squareRoot() * rms
  }

  @Test(arguments: ["tiny1m-f16.gguf", "tiny1m-q8_0.gguf", "tiny1m-q4_0.gguf"], InstructionSet.available)
  func givesTheLogitsOfTheDecodedWeights(file: String, instructionSet: InstructionSet) throws {
    let entry = try #require(Self.golden["files"]?[file])
    let ids = Self.golden["ids"]?.array?.compactMap(\.int) ?? []
    let context = KernelContext(instructionSet: instructionSet, pool: WorkerPool(threads: 1))
    let run = TinyRun(try SharedModels.load(file, context: context))
    let logits = run.append(ids.map { TokenID($0) })
    let allowed = tolerance(run.model, rms: Float(entry["rms"]?.double ?? 0))
    for (row, expected) in zip([0, 15, 31, 47], entry["logits"]?.array?.map(\.floats) ?? []) {
      #expect(expected.count == logits[row].count)
      let squares = zip(logits[row], expected).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let error = (squares / Float(expected.count)).squareRoot()
      #expect(error <= allowed + 5e-5, "\(file) row \(row): off by \(error), allowed \(allowed)")
    }
    var sum = 0.0
    for (row, next) in zip(logits, ids.dropFirst()) { sum += Double(row[next]) - row.logSumExp }
    let expected = try #require(entry["sumLogprob"]?.double)
    // Errors of single log probabilities are independent: they add up as a random walk.
    #expect(abs(sum - expected) <= Double(2 * allowed) * Double(ids.count).squareRoot())
  }
}
