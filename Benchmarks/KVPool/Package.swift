// swift-tools-version: 6.2
// What the block pool costs by itself, without a model: swift run -c release --package-path Benchmarks/KVPool
// The rooms are linked in as folders, so that nothing above them has to be built.

import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

let package = Package(
  name: "kv-pool-bench",
  targets: [
    .target(name: "WeirBasics", swiftSettings: settings),
    .target(name: "CWeirMemory"),
    .target(name: "WeirKVCache", dependencies: ["WeirBasics", "CWeirMemory"], swiftSettings: settings),
    .executableTarget(name: "kv-pool-bench", dependencies: ["WeirKVCache", "WeirBasics"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
