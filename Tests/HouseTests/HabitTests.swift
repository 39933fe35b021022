// Calls and marks that have no place in the rooms.

import Foundation
import Testing

@Suite struct HabitTests {
  /// Call, why it is banned, and the rooms where it is allowed.
  /// `needles` are looked for first: regular expressions over every line would take minutes in a debug build.
  static let banned: [(needles: [String], pattern: String, reason: String, allowedRooms: Set<String>)] = [
    (["print("], #"(^|[^.\w])print\("#, "libraries never print", ["WeirCLI"]),
    (["Date()"], #"\bDate\(\)"#, "time is an argument (WeirClock)", ["WeirServing", "WeirCLI"]),
    (
      [".random(", ".shuffled()", ".randomElement()", "SystemRandomNumberGenerator"], ".", "chance is an argument",
      ["WeirServing", "WeirCLI"]
    ),
    (["ProcessInfo"], ".", "only the executable reads the environment", ["WeirCLI"]),
    (["exit("], #"\bexit\("#, "libraries never exit", ["WeirCLI"]),
    (["try!"], #"\btry!"#, "errors are typed and handled", []),
    (["as!"], #"\bas!"#, "a cast that can fail is an error", []),
    (["TODO", "FIXME", "XXX", "HACK"], #"\b(TODO|FIXME|XXX|HACK)\b"#, "open ends are issues, not comments", []),
  ]

  @Test(arguments: banned.indices) func bannedCallsAreAbsent(index: Int) {
    let rule = Self.banned[index]
    for file in SourceTree.swiftSources where !rule.allowedRooms.contains(file.room) {
      for (number, line) in file.lines.enumerated() where rule.needles.contains(where: { line.contains($0) }) {
        guard !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") else { continue }
        let found = line.range(of: rule.pattern, options: .regularExpression) != nil
        #expect(!found, "\(file):\(number + 1) \(rule.reason): \(line.trimmingCharacters(in: .whitespaces))")
      }
    }
  }

  /// `@unchecked Sendable` is for the documented ownership seams only.
  @Test func uncheckedSendableOnlyAtTheOwnershipSeams() {
    let seams = [
      "MappedFile", "TensorView", "WorkerPool", "WeightMatrix", "DecoderModel",
    ]
    for seam in seams {
      let isThere = SourceTree.swiftSources.contains { file in
        file.lines.contains { $0.contains("@unchecked Sendable") && $0.contains(seam) }
      }
      #expect(isThere, "\(seam) is listed as an ownership seam and is none")
    }
    for file in SourceTree.swiftSources {
      for (number, line) in file.lines.enumerated() where line.contains("@unchecked Sendable") && !line.contains("//") {
        #expect(
          seams.contains { line.contains($0) },
          "\(file):\(number + 1) is not one of the ownership seams listed in docs/HOUSE.md")
      }
    }
  }

  @Test func everyParserOfOutsideBytesHasAFuzzEntry() {
    for parser in [
      "GGUF", "Safetensors", "JSON", "Tokenizer", "ChatTemplate", "Grammar", "Regex", "Schema", "TaskFile",
      "TransferMessage", "ClusterWire",
    ] {
      #expect(SourceTree.text("Fuzz/\(parser)Fuzz.swift") != nil, "Fuzz/\(parser)Fuzz.swift is missing")
    }
  }

  @Test func everySystemHasItsRowInPapers() throws {
    let papers = try #require(SourceTree.text("docs/PAPERS.md"))
    for system in [
      "FlowKV", "vAttention", "Infinite-LLM", "InstInfer", "LeoAM", "SentenceKV", "H2O", "EpiCache", "ScaleKV",
      "Elastic-Cache", "KVShare", "Continuum", "BatchLLM", "ElasticMoE", "BurstGPT", "LLM x DATA",
    ] {
      #expect(papers.contains("| \(system)"), "docs/PAPERS.md has no row for \(system)")
    }
  }

  @Test func noMachinePathIsNamed() {
    let marks = ["/" + "work/", "/" + "tmp/weir", "." + "library"]
    for file in SourceTree.allCode where !file.path.hasPrefix("Tests/HouseTests") {
      for mark in marks {
        #expect(!file.lines.contains { $0.contains(mark) }, "\(file) names \(mark)")
      }
    }
  }
}
