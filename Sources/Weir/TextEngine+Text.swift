// Text in, text out: what a program wants most of the time.

public import WeirBasics
public import WeirEngine
public import WeirSampling
import WeirText

/// How to generate, with the usual choices as defaults.
public struct GenerationOptions: Sendable {
  public var maxTokens: Int?
  public var sampling: SamplingParameters
  /// The same seed gives the same text, whatever else the engine is doing.
  public var seed: UInt64?
  public var stopStrings: [String]

  public init(
    maxTokens: Int? = nil, sampling: SamplingParameters = SamplingParameters(), seed: UInt64? = nil,
    stopStrings: [String] = []
  ) {
    self.maxTokens = maxTokens
    self.sampling = sampling
    self.seed = seed
    self.stopStrings = stopStrings
  }
}

extension TextEngine {
  /// Continues `prompt`; yields pieces of text as they are made.
  ///
  /// Leaving the loop early cancels the request and frees its KV blocks.
  public func generate(
    _ prompt: String, options: GenerationOptions = GenerationOptions()
  ) -> AsyncThrowingStream<String, any Error> {
    textStream(information.tokenizer.encode(prompt), options: options)
  }

  /// Streams the text of a request for `tokens`.
  public func textStream(_ tokens: [TokenID], options: GenerationOptions) -> AsyncThrowingStream<String, any Error> {
    var request = GenerationRequest(id: RequestID("local"), prompt: tokens)
    request.maxTokens = options.maxTokens
    request.sampling = options.sampling
    request.seed = options.seed
    request.stopStrings = options.stopStrings
    let events = generate(request)
    return AsyncThrowingStream { continuation in
      let reader = Task {
        do {
          for try await event in events {
            switch event {
            case .token(let token) where !token.text.isEmpty: continuation.yield(token.text)
            case .finished(let end) where !end.text.isEmpty: continuation.yield(end.text)
            default: break
            }
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in reader.cancel() }
    }
  }
}
