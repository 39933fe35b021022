// libFuzzer entry for the safetensors reader. Build and run with Fuzz/run.sh.

import WeirModelFiles

/// Any bytes give a file or a typed error; a file's tensors can be read to the end.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSafetensors(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  do {
    let file = try SafetensorsFile(file: MappedFile(copying: bytes, path: "fuzz.safetensors"))
    for tensor in file.tensors.values { try? tensor.validateScales() }
  } catch {
    _ = error.message
  }
  return 0
}
