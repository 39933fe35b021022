// One node's engine: the facade that any thread may call, in front of the step-loop thread.

import Foundation
import Synchronization
public import WeirBasics
import WeirKVCache
import WeirKernels
public import WeirModels
import WeirSampling
import WeirScheduling
public import WeirText

/// Generates text with one model for many requests at once.
///
/// Calls are posted to the inbox of one step-loop thread, which owns everything mutable. The thread ends when the
/// engine is shut down or released.
public final class Engine: TextEngine {
  public let information: EngineInformation
  /// What the engine holds in memory, in bytes, once warm.
  public let memoryPlan: EngineMemoryPlan
  private let inbox = Inbox()
  private let board = StatusBoard()
  private let nextTicket = Atomic<UInt64>(1)
  private let isDraining = Atomic<Bool>(false)
  /// Requests inside the engine or its inbox; bounds the inbox.
  private let openCalls = Atomic<Int>(0)
  private let openLimit: Int

  /// Makes the engine and starts its thread.
  ///
  /// - Throws: ``EngineError`` for a configuration that the model or the machine cannot satisfy.
  public init(
    model: DecoderModel, tokenizer: Tokenizer, chatTemplate: ChatTemplate?, configuration: EngineConfiguration,
    clock: any WeirClock = SystemClock()
  ) throws(EngineError) {
    try configuration.validate(headDim: model.description.headDim)
    let shape = model.kvShape(
      blockSlots: configuration.blockSlots, keyType: configuration.keyType, valueType: configuration.valueType)
    let contextLength = min(configuration.contextLength ?? model.description.contextLength, Self.contextLimit)
    let blocks = try configuration.blockLimit(shape: shape, contextLength: contextLength)
    let limits: SchedulerConfiguration
    do {
      limits = try SchedulerConfiguration(
        runningLimit: configuration.runningLimit, queueLimit: configuration.queueLimit,
        stepTokens: configuration.stepTokens, mixedPrefillTokens: configuration.mixedPrefillTokens,
        contextLength: min(contextLength, blocks * shape.blockSlots))
    } catch {
      throw EngineError(wrapping: error)
    }
    try configuration.checkPolicy(
      model: model.description, shape: shape, contextLength: limits.contextLength)
    memoryPlan = EngineMemoryPlan(model: model, shape: shape, blocks: blocks, stepTokens: limits.stepTokens)
    openLimit = configuration.queueLimit + configuration.runningLimit
    information = Self.describe(
      model, tokenizer, chatTemplate, configuration, shape: shape, blocks: blocks,
      contextLength: limits.contextLength, startedAt: clock.now())
    var pooling = KVPoolConfiguration(shape: shape, blockLimit: blocks)
    pooling.prefixCache = configuration.prefixCache
    if configuration.onKVEvents == nil { pooling.eventLimit = 0 }
    let poolConfiguration = pooling
    let started = StartReport()
    let thread = Thread { [inbox, board] in
      // The pool and the loop are made on the thread that owns them: they are not Sendable.
      do {
        let pool = try BlockPool(configuration: poolConfiguration, clock: clock)
        let desk = try configuration.handoff.map {
          try HandoffDesk(options: $0, pool: pool, clock: clock) { inbox.wake() }
        }
        let loop = StepLoop(
          model: model, tokenizer: tokenizer, configuration: configuration, scheduler: Scheduler(configuration: limits),
          pool: pool, inbox: inbox, board: board, clock: clock, desk: desk)
        loop.publish()
        started.set(nil)
        loop.run()
      } catch {
        started.set(EngineError(wrapping: error))
      }
    }
    thread.name = "weir-step-loop"
    thread.stackSize = 8 << 20
    thread.start()
    if let failure = started.wait() { throw failure }
  }

  deinit { inbox.post(.shutDown) }

  /// Longest context whatever a model file claims: positions are 32-bit in the kernels.
  static let contextLimit = 1 << 24

  public func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
    let ticket = takeTicket()
    return AsyncThrowingStream { continuation in
      if let refusal = refusal() {
        continuation.finish(throwing: refusal)
        return
      }
      openCalls.add(1, ordering: .relaxed)
      continuation.onTermination = { [self] reason in
        openCalls.subtract(1, ordering: .relaxed)
        if case .cancelled = reason { inbox.post(.abandon(ticket)) }
      }
      inbox.post(.submit(ticket, request, continuation))
    }
  }

  public func embed(_ tokens: [TokenID], id: RequestID) async throws -> [Float] {
    if let refusal = refusal() { throw refusal }
    let ticket = takeTicket()
    openCalls.add(1, ordering: .relaxed)
    defer { openCalls.subtract(1, ordering: .relaxed) }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { inbox.post(.embed(ticket, id, tokens, $0)) }
    } onCancel: {
      inbox.post(.abandon(ticket))
    }
  }

  public func status() async -> EngineStatus {
    var status = board.status
    status.isDraining = isDraining.load(ordering: .relaxed)
    return status
  }

  public func cancel(_ id: RequestID) async -> Bool {
    await withCheckedContinuation { inbox.post(.cancel(id, $0)) }
  }

  public func clearPrefixCache() async {
    await withCheckedContinuation { inbox.post(.clearPrefixCache($0)) }
  }

  public func pause() async {
    await withCheckedContinuation { inbox.post(.setPaused(true, $0)) }
  }

  public func resume() async {
    await withCheckedContinuation { inbox.post(.setPaused(false, $0)) }
  }

  public func drain(timeoutSeconds: Double) async {
    isDraining.store(true, ordering: .relaxed)
    let clock = SystemClock()
    let end = clock.now().advanced(bySeconds: timeoutSeconds)
    while openCalls.load(ordering: .relaxed) > 0 && clock.now() < end {
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  private func takeTicket() -> Ticket { Ticket(rawValue: nextTicket.add(1, ordering: .relaxed).oldValue) }

  private func refusal() -> EngineError? {
    if isDraining.load(ordering: .relaxed) {
      return EngineError(.draining, message: "the server is shutting down", retryAfterSeconds: 5)
    }
    if openCalls.load(ordering: .relaxed) >= openLimit {
      return EngineError(
        .queueFull, message: "\(openLimit) requests are running or waiting already; try again later",
        retryAfterSeconds: 1)
    }
    return nil
  }
}

extension Engine {
  private static func describe(
    _ model: DecoderModel, _ tokenizer: Tokenizer, _ template: ChatTemplate?, _ configuration: EngineConfiguration,
    shape: KVShape, blocks: Int, contextLength: Int, startedAt: Instant
  ) -> EngineInformation {
    var information = EngineInformation(
      modelName: configuration.modelName, contextLength: contextLength, vocabularySize: tokenizer.vocabularySize,
      tokenizer: tokenizer, chatTemplate: template)
    information.architecture = model.description.architecture
    information.parameterCount = model.parameterCount
    information.weightBytes = model.weightBytes
    information.keyType = shape.keyType
    information.valueType = shape.valueType
    information.blockSlots = shape.blockSlots
    information.blockBytes = shape.blockBytes
    information.totalBlocks = blocks
    information.prefixCaching = configuration.prefixCache
    information.kvPolicy = configuration.kvPolicy?.name
    information.maxSequences = configuration.runningLimit
    information.stepTokens = configuration.stepTokens
    information.threads = model.context.pool.threads
    information.instructionSet = model.context.instructionSet.rawValue
    information.embeddingWidth = model.description.width
    information.kvShape = shape
    information.modelFingerprint = configuration.handoff?.modelFingerprint
    information.mixedPrefillTokens = configuration.mixedPrefillTokens
    information.startedAt = startedAt
    return information
  }
}
