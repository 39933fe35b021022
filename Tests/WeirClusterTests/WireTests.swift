// Documents of other nodes: nothing is lost on the way, nothing wrong comes in.

import Foundation
import Testing
import WeirBasics
import WeirTestSupport

@testable import WeirCluster

@Suite struct WireTests {
  @Test func documentsComeBackAsTheyWere() throws {
    let node = Samples.node("node-1.a_B", incarnation: 42, role: .decode)
    #expect(try NodeDescription.parse(utf8: node.json.serializedBytes()) == node)
    let report = Samples.report("a", incarnation: 3, sequence: 9, waitingTokens: 700)
    #expect(try LoadReport.parse(utf8: report.json.serializedBytes()) == report)
    #expect(try RoleDirective.parse(utf8: Samples.directive.json.serializedBytes()) == Samples.directive)
  }

  /// The documents are a contract between versions: these texts were written by the first one.
  @Test func documentsOfTheFirstVersionAreRead() throws {
    func golden(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: Golden.url("cluster/\(name)"))) }
    #expect(try NodeDescription.parse(utf8: golden("node.json")) == Samples.node("a", role: .prefill))
    #expect(try LoadReport.parse(utf8: golden("load.json")) == Samples.report("a", sequence: 5, waitingTokens: 70))
    #expect(try RoleDirective.parse(utf8: golden("role.json")) == Samples.directive)
    guard case .changes(let changes, revision: 12) = try EtcdWire.watchMessage(golden("watch.json")) else {
      Issue.record("the watch's line is no list of changes")
      return
    }
    #expect(changes == [.deleted(key: "/weir/default/nodes/a")])
  }

  @Test func fingerprintsOfTransfersHaveOneSpelling() {
    #expect(ModelFingerprint(0xFF as UInt64).rawValue == "00000000000000ff")
    #expect(ModelFingerprint(UInt64.max).rawValue == "ffffffffffffffff")
  }

  @Test func unknownMembersOfANewerNodeAreIgnored() throws {
    let text = Samples.directive.json.replacing("colour", with: "red")
    #expect(try RoleDirective.parse(utf8: text.serializedBytes()) == Samples.directive)
  }

  static let wrongReports: [(field: String, value: JSONValue?, reason: WireError.Reason)] = [
    ("version", 2, .unsupportedVersion), ("version", nil, .missingField), ("node", "a/b", .wrongField),
    ("node", nil, .missingField), ("incarnation", -1, .wrongField), ("sequence", 1.5, .wrongField),
    ("role", "storage", .wrongField), ("draining", 0, .wrongField), ("queues", [], .wrongField),
    ("queues.running", -1, .wrongField), ("kv.free_blocks", 101, .wrongField), ("kv.cached_blocks", 61, .wrongField),
    ("compute_utilisation", 1.01, .wrongField), ("memory_bandwidth_utilisation", nil, .missingField),
    ("speeds.prefill_tokens.per_second", 0, .wrongField), ("speeds.links", 3, .wrongField),
    ("speeds.links", [["peer": "b", "bytes_per_second": -1, "operation_seconds": 0]], .wrongField),
  ]

  @Test(arguments: wrongReports.indices) func wrongFieldsAreNamed(index: Int) {
    let (field, value, reason) = Self.wrongReports[index]
    let text = Samples.report("a", sequence: 1).json.replacing(field, with: value)
    do {
      _ = try LoadReport.parse(utf8: text.serializedBytes())
      Issue.record("\(field) = \(String(describing: value)) was accepted")
    } catch {
      #expect(error.reason == reason, "\(error)")
      #expect(error.field.hasPrefix(field) || error.reason == .unsupportedVersion, "\(error)")
    }
  }

  static let wrongNodes: [(field: String, value: JSONValue?)] = [
    ("id", ""), ("addresses.http", nil), ("model.fingerprint", ""), ("kv.layers", 0), ("kv.key_type", "f8"),
    ("kv.head_dim", 33), ("capacity.total_blocks", 0), ("capacity.running_limit", "8"), ("role", nil), ("protocol", -1),
  ]

  @Test(arguments: wrongNodes.indices) func wrongDescriptionsAreRefusedBeforeTheyTrap(index: Int) {
    let (field, value) = Self.wrongNodes[index]
    let text = Samples.node("a").json.replacing(field, with: value)
    #expect(throws: WireError.self) { try NodeDescription.parse(utf8: text.serializedBytes()) }
  }

  @Test func hugeDocumentsAreNotParsed() {
    let huge = [UInt8](repeating: 0x20, count: NodeDescription.limitBytes + 1)
    #expect(throws: WireError.self) { try NodeDescription.parse(utf8: huge) }
  }

  @Test func longReasonsAreCutSoThatTheyCanBeRead() throws {
    var directive = Samples.directive
    directive.reason = String(repeating: "ä", count: 100_000)
    #expect(try RoleDirective.parse(utf8: directive.json.serializedBytes()).epoch == directive.epoch)
  }

  @Test func base64IsThatOfTheStandard() {
    // RFC 4648, section 10
    let vectors = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "fooba": "Zm9vYmE="]
    for (plain, coded) in vectors {
      #expect(Base64.encode(Array(plain.utf8)) == coded)
      #expect(Base64.decode(coded) == Array(plain.utf8))
    }
    var generator = SeededGenerator(seed: 5)
    for count in 0..<100 {
      let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes, "seed 5, \(count) bytes")
    }
    for wrong in ["Z", "Zg=", "Zg=a", "Z===", "====", "Zm9v\n", "Zm-v"] { #expect(Base64.decode(wrong) == nil) }
  }

  @Test func thePrefixEndsBehindItsLastKey() {
    #expect(EtcdWire.end(ofPrefix: "/weir/a/") == Array("/weir/a0".utf8))
  }
}
