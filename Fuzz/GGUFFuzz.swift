// libFuzzer entry for the GGUF reader. Build and run with Fuzz/run.sh.

import WeirModelFiles

/// Any bytes give a file or a typed error; a file's tensors can be read to the end.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzGGUF(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  do {
    let source = ModelSource.gguf(try GGUFFile(file: MappedFile(copying: bytes, path: "fuzz.gguf")))
    for tensor in source.tensors.values { try? tensor.validateScales() }
    _ = ModelSummary(source).text()
  } catch {
    _ = error.message
  }
  return 0
}
