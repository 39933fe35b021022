// libFuzzer entry for regular expressions. Build and run with Fuzz/run.sh.

import WeirBasics
import WeirSampling

private let vocabulary = ConstraintVocabulary(tokenBytes: [[]] + (0...255).map { [UInt8($0)] }, endTokens: [0])

/// Any text gives a constraint or a typed error; a constraint always leaves a way on.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRegex(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let text = String(decoding: UnsafeBufferPointer(start: data, count: size), as: UTF8.self)
  do {
    var constraint = try TokenConstraint(.regex(text), vocabulary: vocabulary)
    for _ in 0..<8 {
      guard let token = constraint.mask().tokens.last else {
        precondition(constraint.failure != nil, "a dead end")
        break
      }
      precondition(constraint.accept(token), "the mask allowed what accept refuses")
    }
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}
