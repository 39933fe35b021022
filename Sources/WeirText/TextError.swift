// The one error type of this room.
public import WeirBasics

/// What a tokenizer file, a chat template or the data given to a template did wrong.
public struct TextError: WeirError, Equatable {
  /// `tokenizer_missing`, `tokenizer_invalid`, `tokenizer_unsupported`, `template_missing`, `template_syntax`,
  /// `template_failed`, `template_raised` (the template refused the conversation) or `template_limit`.
  public let code: String
  public let message: String

  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}
