// From a path to a running engine.

import WeirBasics
public import WeirEngine
public import WeirKernels
import WeirModelFiles
import WeirModels
import WeirText

/// How to load a model.
public struct LoadOptions: Sendable {
  /// Threads of the worker pool; at least 1.
  public var threads: Int
  /// Kernels to use; the best this machine has by default.
  public var instructionSet: InstructionSet
  /// The engine's limits; nil takes the defaults under the model's file name.
  public var configuration: EngineConfiguration?
  /// A Jinja template that replaces the model's own.
  public var chatTemplate: String?
  /// Called with the share of the model that has been loaded, `0...1`.
  public var progress: (@Sendable (Double) -> Void)?

  public init(
    threads: Int = 2, instructionSet: InstructionSet = .best, configuration: EngineConfiguration? = nil,
    chatTemplate: String? = nil, progress: (@Sendable (Double) -> Void)? = nil
  ) {
    self.threads = threads
    self.instructionSet = instructionSet
    self.configuration = configuration
    self.chatTemplate = chatTemplate
    self.progress = progress
  }
}

extension Engine {
  /// Loads a GGUF file or a Hugging Face folder and starts an engine on it.
  ///
  /// Blocks while weights are read and repacked: seconds for large models. Call it outside an actor you need.
  ///
  /// - Throws: `ModelFileError`, `ModelError`, `TextError` or `EngineError`, each naming what was wrong.
  public static func load(path: String, options: LoadOptions = LoadOptions()) throws -> Engine {
    let source = try ModelSource.open(path: path)
    let tokenizer = try Tokenizer(source: source)
    var template = try ChatTemplate.of(source: source, tokenizer: tokenizer)
    if let text = options.chatTemplate {
      template = try ChatTemplate(
        source: text, bosToken: tokenizer.bosToken.map(tokenizer.tokenText) ?? "",
        eosToken: tokenizer.eosToken.map(tokenizer.tokenText) ?? "")
    }
    let context = KernelContext(
      instructionSet: options.instructionSet, pool: WorkerPool(threads: max(1, options.threads)))
    let model = try DecoderModel(
      source: source, context: context, contextLength: options.configuration?.contextLength, progress: options.progress)
    var configuration = options.configuration ?? EngineConfiguration(modelName: defaultName(path: path))
    if configuration.handoff != nil { configuration.handoff?.modelFingerprint = source.fingerprint(of: model) }
    return try Engine(model: model, tokenizer: tokenizer, chatTemplate: template, configuration: configuration)
  }

  /// The name of a model that was given none: its file name without directories and `.gguf`.
  public static func defaultName(path: String) -> String {
    let last = path.split(separator: "/").last.map(String.init) ?? path
    return last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
  }
}
