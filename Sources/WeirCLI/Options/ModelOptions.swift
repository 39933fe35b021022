// The flags that every command which runs a model shares.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirKernels

struct ModelOptions: ParsableArguments {
  @Argument(help: "A GGUF file or a Hugging Face folder.") var model: String
  @Option(name: [.long, .customShort("t")], help: "Threads of the worker pool (default: all cores).") var threads: Int?
  @Option(help: "Kernels to use: scalar, avx2, avx512, vnni, neon (default: the best this machine has).")
  var kernels: String?
  @Option(name: [.customLong("max-model-len"), .customShort("c")], help: "Longest sequence in tokens.")
  var contextLength: Int?
  @Option(name: .customLong("kv-cache-dtype"), help: "KV cache type of K and V: f32, f16, q8_0, q4_0 (default f16).")
  var kvType: String?
  @Option(name: [.customLong("kv-key-dtype"), .customLong("ctk")], help: "KV cache type of K alone.") var keyType:
    String?
  @Option(name: [.customLong("kv-value-dtype"), .customLong("ctv")], help: "KV cache type of V alone.")
  var valueType: String?
  @Option(name: .customLong("block-size"), help: "Token slots in a KV block, a power of two in 8...256.")
  var blockSlots: Int = 32
  @Option(name: .customLong("kv-memory"), help: "KV memory, for example 512M or 4G.") var kvMemory: String?
  @Option(name: [.customLong("max-num-seqs"), .customLong("np")], help: "Sequences computed at once.")
  var runningLimit: Int = 64
  @Option(name: .customLong("max-num-batched-tokens"), help: "Tokens computed in one step.") var stepTokens: Int = 512
  @Option(name: .customLong("max-mixed-prefill-tokens"), help: "Prefill tokens of a step in which others decode.")
  var mixedPrefillTokens: Int = 256
  @Option(name: .customLong("max-queued-requests"), help: "Requests that may wait.") var queueLimit: Int = 1024
  @Flag(name: .customLong("no-enable-prefix-caching"), help: "Do not keep finished prompts for reuse.")
  var noPrefixCache = false
  @Option(name: [.customLong("served-model-name"), .customShort("a")], help: "The name clients use.") var servedName:
    String?
  @Option(name: .customLong("chat-template"), help: "A Jinja file that replaces the model's template.")
  var chatTemplate: String?
  @Option(help: "Seeds requests that bring no seed.") var seed: UInt64 = 0
  @Option(help: "Also read settings from this file of `key: value` lines.") var config: String?

  func engineConfiguration() throws -> EngineConfiguration {
    var configuration = EngineConfiguration(modelName: servedName ?? Engine.defaultName(path: model))
    configuration.blockSlots = blockSlots
    configuration.keyType = try elementType(keyType ?? kvType, flag: "--kv-key-dtype")
    configuration.valueType = try elementType(valueType ?? kvType, flag: "--kv-value-dtype")
    configuration.kvBytes = try kvMemory.map(Self.bytes)
    configuration.contextLength = contextLength
    configuration.runningLimit = runningLimit
    configuration.queueLimit = queueLimit
    configuration.stepTokens = stepTokens
    configuration.mixedPrefillTokens = mixedPrefillTokens
    configuration.prefixCache = !noPrefixCache
    configuration.seed = seed
    return configuration
  }

  func loadOptions(
    policy: PolicyOptions?, progress: (@Sendable (Double) -> Void)?,
    _ change: (inout EngineConfiguration) throws -> Void = { _ in }
  ) throws -> LoadOptions {
    let count = threads ?? ProcessInfo.processInfo.activeProcessorCount
    guard (1...1024).contains(count) else { throw ValidationError("--threads is \(count); it must be in 1...1024") }
    let template = try chatTemplate.map { path in
      guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
        throw ValidationError("--chat-template \(path): the file cannot be read")
      }
      return text
    }
    var configuration = try engineConfiguration()
    try policy?.apply(to: &configuration)
    try change(&configuration)
    return LoadOptions(
      threads: count, instructionSet: try kernels.map { try InstructionSet(flag: $0) } ?? .best,
      configuration: configuration, chatTemplate: template, progress: progress)
  }

  /// Loads the model behind a progress bar.
  ///
  /// - Parameters:
  ///   - policy: the KV policies' switch; nil: the full cache, always.
  ///   - quiet: no bar.
  ///   - change: alters the engine's configuration.
  func load(
    policy: PolicyOptions? = nil, quiet: Bool = false, _ change: (inout EngineConfiguration) throws -> Void = { _ in }
  ) throws -> Engine {
    let bar = ProgressBar(label: "loading \(Engine.defaultName(path: model))", isQuiet: quiet)
    let engine = try Engine.load(
      path: model, options: loadOptions(policy: policy, progress: { bar.update($0) }, change))
    bar.finish()
    return engine
  }

  private func elementType(_ name: String?, flag: String) throws -> KVElementType {
    guard let name else { return .f16 }
    guard let type = KVElementType(rawValue: name.lowercased()) else {
      throw ValidationError("\(flag) is \(name); it must be one of f32, f16, q8_0, q4_0")
    }
    return type
  }

  /// Reads `512M`, `4G`, `1073741824`.
  static func bytes(_ text: String) throws -> Int {
    let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    var digits = text.uppercased()
    if digits.hasSuffix("B") { digits.removeLast() }
    if digits.hasSuffix("I") { digits.removeLast() }
    var factor = 1
    if let last = digits.last, let unit = units[last] {
      factor = unit
      digits.removeLast()
    }
    guard let value = Double(digits), value > 0, value * Double(factor) < 1e15 else {
      throw ValidationError("\(text) is not an amount of memory; write for example 512M or 4G")
    }
    return Int(value * Double(factor))
  }
}
