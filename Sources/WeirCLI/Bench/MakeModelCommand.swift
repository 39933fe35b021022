// weir bench make-model: a random-weight model, so that anybody can repeat the numbers.

import ArgumentParser
import WeirBasics
import WeirModelFiles

struct MakeModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "make-model", abstract: "Write a llama-shaped GGUF with random weights.")

  @Option(help: "Shape: tiny, 25m, 125m, 1.1b, 1.1b-4layer.") var geometry = "tiny"
  @Option(help: "Weight type: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_K, q6_K.") var type = "q8_0"
  @Option(help: "The same seed gives the same file.") var seed: UInt64 = 7
  @Option(name: .shortAndLong, help: "The file to write.") var output: String

  func run() throws {
    guard let type = TensorType(name: type) else {
      throw ValidationError("--type \(self.type) is unknown; it must be one of \(TensorType.allCases.map(\.name))")
    }
    guard let geometry = RandomModel.Geometry(rawValue: geometry) else {
      let names = RandomModel.Geometry.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--geometry \(self.geometry) is unknown; it must be one of \(names)")
    }
    let bar = ProgressBar(label: "writing \(output)")
    try RandomModel.write(geometry: geometry, type: type, seed: seed, to: output, progress: { bar.update($0) })
    bar.finish()
    Terminal.write("\(output)\n")
  }
}
