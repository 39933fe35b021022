// libFuzzer entry for the JSON parser and writer. Build and run with Fuzz/run.sh.

import WeirBasics

/// Any bytes give a value or a typed error; a value survives being written and parsed again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJSON(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  do {
    let value = try JSONValue.parse(utf8: bytes)
    let again = try JSONValue.parse(utf8: value.serializedBytes(indent: 1, ascii: true))
    precondition(again == value, "a value must survive a round trip")
  } catch {
    precondition((0...bytes.count).contains(error.offset), "an error points into the text")
  }
  return 0
}
