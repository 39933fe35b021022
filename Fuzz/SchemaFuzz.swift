// libFuzzer entry for JSON schemas. Build and run with Fuzz/run.sh.

import WeirBasics
import WeirSampling

private let vocabulary = ConstraintVocabulary(tokenBytes: [[]] + (0...255).map { [UInt8($0)] }, endTokens: [0])

/// Any JSON gives a constraint or a typed error; a constraint always leaves a way on.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSchema(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  guard let schema = try? JSONValue.parse(utf8: Array(UnsafeBufferPointer(start: data, count: size))) else { return 0 }
  do {
    var constraint = try TokenConstraint(.jsonSchema(schema), vocabulary: vocabulary)
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
