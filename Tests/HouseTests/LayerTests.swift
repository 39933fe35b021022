// The layer table: which room may import which (docs/HOUSE.md).

import Foundation
import Testing

/// Layer of every room; imports point only to lower layers.
let layers: [String: Int] = [
  "WeirBasics": 0, "CWeirKernels": 0, "CWeirMemory": 0, "CWeirUCX": 0, "CWeirZMQ": 0,
  "WeirKernels": 1, "WeirModelFiles": 1, "WeirKVCache": 1, "WeirSampling": 1,
  "WeirModels": 2, "WeirText": 2, "WeirScheduling": 2, "WeirKVTransfer": 2, "WeirCluster": 2,
  "WeirEngine": 3, "WeirPolicies": 3,
  "WeirServing": 4, "WeirEvaluation": 4, "Weir": 4,
  "WeirCLI": 5,
]

@Suite struct LayerTests {
  @Test func importsPointOnlyDownwards() {
    for file in SourceTree.swiftSources {
      guard let own = layers[file.room] else {
        Issue.record("\(file) lies in a room that the layer table does not know")
        continue
      }
      for module in file.importedModules where module.hasPrefix("Weir") || module.hasPrefix("CWeir") {
        guard let other = layers[module] else {
          Issue.record("\(file) imports \(module), which the layer table does not know")
          continue
        }
        #expect(other < own, "\(file) (layer \(own)) imports \(module) (layer \(other))")
      }
    }
  }

  @Test func everyRoomIsInThePackageAndInTheTable() throws {
    let package = try #require(SourceTree.text("Package.swift"))
    let rooms = Set(SourceTree.swiftSources.map(\.room))
    #expect(rooms.isSubset(of: Set(layers.keys)))
    for room in layers.keys { #expect(package.contains("\"\(room)\""), "Package.swift lacks \(room)") }
  }

  @Test func everyRoomHasItsPage() {
    for room in layers.keys where !room.hasPrefix("CWeir") && room != "WeirCLI" {
      let page = "Sources/\(room)/\(room).docc/\(room).md"
      #expect(SourceTree.text(page) != nil, "\(page) is missing: it says what the room owns and must never do")
    }
  }

  @Test func networkAndHTTPStayInServing() {
    let doors: Set<String> = [
      "AsyncHTTPClient", "Hummingbird", "HummingbirdTLS", "NIOCore", "NIOHTTP1", "NIOSSL", "NIOPosix",
      "ServiceLifecycle",
    ]
    for file in SourceTree.swiftSources where file.room != "WeirServing" && file.room != "WeirCLI" {
      let wrong = file.importedModules.filter { doors.contains($0) }
      #expect(wrong.isEmpty, "\(file) imports \(wrong)")
    }
  }
}

extension SourceFile {
  var importedModules: [String] {
    lines.compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let index = words.firstIndex(of: "import"), index <= 2, words.count > index + 1 else { return nil }
      let isImport = words[..<index].allSatisfy {
        ["public", "internal", "package", "private"].contains($0) || $0.hasPrefix("@")
      }
      return isImport ? words[index + 1] : nil
    }
  }
}
