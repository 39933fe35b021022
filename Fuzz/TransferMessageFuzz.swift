// libFuzzer entry for what nodes say to each other. Build and run with Fuzz/run.sh, which compiles the folder in.

import WeirBasics

/// Any bytes give a message or a typed fault; what was read is written as the same message.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTransferMessage(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  do {
    let message = try HandoffMessage(bytes: bytes)
    precondition((try? HandoffMessage(bytes: message.bytes)) == message)
  } catch {
    precondition(!error.message.isEmpty)
  }
  do {
    let message = try HandshakeMessage(bytes: bytes)
    precondition(message.bytes == bytes)
  } catch {
    precondition(!error.message.isEmpty)
  }
  do {
    let details = try TransportDetails(bytes: bytes)
    precondition(details.bytes == bytes)
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}
