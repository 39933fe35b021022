// libFuzzer entry for what other nodes and etcd say. Build and run with Fuzz/run.sh.

import WeirBasics
import WeirCluster

/// Any bytes give a document that survives writing and reading, or a typed error.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzClusterWire(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  do {
    let node = try NodeDescription.parse(utf8: bytes)
    precondition((try? NodeDescription.parse(utf8: node.json.serializedBytes())) == node)
  } catch { precondition(!error.message.isEmpty) }
  do {
    let report = try LoadReport.parse(utf8: bytes)
    precondition((try? LoadReport.parse(utf8: report.json.serializedBytes())) == report)
    precondition(report.roomBlocks >= 0 && (0...1).contains(report.queues.kvUsage))
  } catch { precondition(!error.message.isEmpty) }
  do {
    let directive = try RoleDirective.parse(utf8: bytes)
    precondition((try? RoleDirective.parse(utf8: directive.json.serializedBytes()))?.epoch == directive.epoch)
  } catch { precondition(!error.message.isEmpty) }
  do throws(RegistryError) {
    _ = try EtcdRegistry.events(ofWatchLine: bytes, cluster: "default")
  } catch { precondition(!error.message.isEmpty) }
  return 0
}
