// The bundled small Llamas against a float64 reference that shares no code with us.

import Foundation
import Testing
import WeirBasics
import WeirKernels
import WeirModelFiles
import WeirModels
import WeirTestSupport

/// What the reference says of one model: 120 greedy tokens with the five largest logits at each.
struct Reference: Decodable {
  let ids: [UInt32]
  let sumLogprob: Double
  let top5IDs: [[Int]]
  let top5Logits: [[Float]]
  let lastLogits: [Float]
  let greedyFromBOS: [UInt32]

  enum CodingKeys: String, CodingKey {
    case ids
    case sumLogprob = "sum_logprob"
    case top5IDs = "top5_ids"
    case top5Logits = "top5_logits"
    case lastLogits = "last_logits"
    case greedyFromBOS = "greedy_from_bos_ids"
  }

  var tokens: [TokenID] { ids.map { TokenID($0) } }

  static func of(_ model: String) throws -> Reference {
    let url = try #require(SharedData.url("derived/golden-logits.json"))
    let all = try JSONDecoder().decode([String: Reference].self, from: Data(contentsOf: url))
    return try #require(all[model])
  }
}

enum SharedModels {
  static let available = SharedData.exists("derived/golden-logits.json") && SharedData.exists("derived/tiny1m-hf")
  static let context = KernelContext(pool: WorkerPool(threads: 2))

  static func load(_ file: String, context: KernelContext = context) throws -> DecoderModel {
    let url = try #require(SharedData.url("derived/\(file)"))
    return try DecoderModel(source: try ModelSource.open(path: url.path), context: context)
  }
}

/// Largest logit error that f32 arithmetic explains: each of a layer's four products and the output product rounds
/// with a relative error of about epsilon times the square root of its length.
func roundingTolerance(_ model: DecoderModel, largestLogit: Float) -> Float {
  let d = model.description
  let length = Float(max(d.width, d.feedForwardWidth, d.heads * d.headDim))
  return Float.ulpOfOne * Float(4 * d.layers + 1) * length.squareRoot() * max(1, largestLogit)
}

@Suite(.enabled(if: SharedModels.available, "needs ../shared/data/derived"))
struct LlamaGoldenTests {
  @Test(arguments: [
    ("stories260K-f32.gguf", "stories260K"), ("stories260K-hf", "stories260K"), ("tiny1m-f32.gguf", "tiny1m"),
    ("tiny1m-hf", "tiny1m"),
  ])
  func givesTheReferenceLogitsAtEveryPosition(file: String, name: String) throws {
    let reference = try Reference.of(name)
    let run = TinyRun(try SharedModels.load(file))
    let logits = run.append(reference.tokens)
    let largest = reference.top5Logits.joined().reduce(0) { max($0, abs($1)) }
    let tolerance = roundingTolerance(run.model, largestLogit: largest)
    for (index, ids) in reference.top5IDs.enumerated() {
      let row = logits[index]
      for (id, expected) in zip(ids, reference.top5Logits[index]) {
        #expect(abs(row[id] - expected) <= tolerance, "\(file) position \(index) token \(id)")
      }
      #expect(row.argmax == ids[0], "\(file) position \(index)")
    }
    let last = try #require(logits.last)
    #expect([last].distance([reference.lastLogits]) <= tolerance)
    var sum = 0.0
    for (row, next) in zip(logits, reference.tokens.dropFirst()) { sum += Double(row[next.index]) - row.logSumExp }
    #expect(abs(sum - reference.sumLogprob) <= Double(2 * tolerance) * Double(logits.count))
  }

  @Test(arguments: [
    ("stories260K-f32.gguf", "stories260K"), ("stories260K-f16.gguf", "stories260K"), ("stories260K-hf", "stories260K"),
    ("tiny1m-f32.gguf", "tiny1m"), ("tiny1m-f16.gguf", "tiny1m"), ("tiny1m-hf", "tiny1m"),
  ])
  func givesTheReferenceGreedyTokens(file: String, name: String) throws {
    let reference = try Reference.of(name)
    let run = TinyRun(try SharedModels.load(file), slots: 272)
    var ids = [reference.greedyFromBOS[0]]
    while ids.count < reference.greedyFromBOS.count, let last = ids.last {
      ids.append(UInt32(try #require(run.append([TokenID(last)]).first).argmax))
    }
    #expect(ids == reference.greedyFromBOS)
  }
}
