// The sampling flags of the terminal commands.

import ArgumentParser
import Weir
import WeirSampling

struct SamplingOptions: ParsableArguments {
  @Option(name: [.customLong("max-tokens"), .customShort("n")], help: "Most tokens to generate.") var maxTokens: Int?
  @Option(help: "0 is greedy.") var temperature: Float = 0.8
  @Option(name: .customLong("top-k")) var topK: Int = 0
  @Option(name: .customLong("top-p")) var topP: Float = 0.95
  @Option(name: .customLong("min-p")) var minP: Float = 0
  @Option(name: .customLong("repetition-penalty")) var repetitionPenalty: Float = 1
  @Option(name: .customLong("sampling-seed"), help: "Makes the text repeatable.") var samplingSeed: UInt64?
  @Option(help: "Stop before this text; may be given several times.") var stop: [String] = []

  var generation: GenerationOptions {
    var parameters = SamplingParameters()
    parameters.temperature = temperature
    parameters.topK = topK
    parameters.topP = topP
    parameters.minP = minP
    parameters.repetitionPenalty = repetitionPenalty
    return GenerationOptions(maxTokens: maxTokens, sampling: parameters, seed: samplingSeed, stopStrings: stop)
  }
}
