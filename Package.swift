// swift-tools-version: 6.2
// The layer table as code: a room may import only rooms of lower layers (docs/HOUSE.md).

import PackageDescription

/// Set WEIR_CORE_ONLY=1 to leave out the doors (HTTP server, command line) while working on the rooms below:
/// the HTTP stack is nine tenths of a clean build.
let coreOnly = Context.environment["WEIR_CORE_ONLY"] == "1"

let commonSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

/// Release builds inline across rooms (docs/HOUSE.md, "Access between rooms").
let releaseSettings: [SwiftSetting] = [
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
]

/// Rooms that handle raw memory; every other room is compiled with strict memory safety.
let roomsWithRawMemory: Set<String> = [
  "WeirKernels", "WeirKVCache", "WeirKVTransfer", "WeirModels", "WeirModelFiles", "WeirEngine", "WeirSampling",
]

func room(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
  var settings = commonSettings + releaseSettings
  if !roomsWithRawMemory.contains(name) { settings.append(.strictMemorySafety()) }
  return .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
  .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: commonSettings)
}

let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

var targets: [Target] = [
  // layer 0
  room("WeirBasics"),
  .target(
    name: "CWeirKernels",
    // C is compiled at -O3 in debug builds too: at -O0 the kernels are a hundred times slower and tests unusable.
    cSettings: [.unsafeFlags(["-O3", "-Wall", "-Wextra", "-Werror", "-fno-math-errno"])],
    linkerSettings: [.linkedLibrary("m"), .linkedLibrary("pthread")]),
  .target(name: "CWeirMemory", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
  // UCX is loaded when it is used; without its headers this builds too, and refuses to start.
  .target(
    name: "CWeirUCX", cSettings: [.unsafeFlags(["-O2", "-Wall", "-Wextra", "-Werror"])],
    linkerSettings: [.linkedLibrary("dl"), .linkedLibrary("pthread")]),
  // The same with ZeroMQ, whose headers are not needed.
  .target(
    name: "CWeirZMQ", cSettings: [.unsafeFlags(["-O2", "-Wall", "-Wextra", "-Werror"])],
    linkerSettings: [.linkedLibrary("dl"), .linkedLibrary("pthread")]),
  // layer 1
  room("WeirKernels", ["WeirBasics", "CWeirKernels"]),
  room("WeirModelFiles", ["WeirBasics"]),
  room("WeirKVCache", ["WeirBasics", "CWeirMemory"]),
  room("WeirSampling", ["WeirBasics"]),
  // layer 2
  room("WeirModels", ["WeirBasics", "WeirKernels", "WeirModelFiles", "WeirKVCache"]),
  room("WeirText", ["WeirBasics", "WeirModelFiles"]),
  room("WeirScheduling", ["WeirBasics", "WeirKVCache"]),
  room("WeirKVTransfer", ["WeirBasics", "WeirKVCache", "CWeirKernels", "CWeirMemory", "CWeirUCX"]),
  room("WeirCluster", ["WeirBasics"]),
  // layer 3
  room("WeirPolicies", ["WeirBasics", "WeirKVCache", "WeirCluster"]),
  room(
    "WeirEngine",
    [
      "WeirBasics", "WeirKernels", "WeirModelFiles", "WeirKVCache", "WeirSampling", "WeirModels", "WeirText",
      "WeirScheduling", "WeirKVTransfer", "WeirCluster",
    ]),
  // layer 4
  room(
    "WeirEvaluation",
    ["WeirBasics", "WeirKVCache", "WeirText", "WeirSampling", "WeirKVTransfer", "WeirCluster", "WeirEngine"]),
  room(
    "Weir",
    [
      "WeirBasics", "WeirKernels", "WeirModelFiles", "WeirModels", "WeirText", "WeirSampling", "WeirKVTransfer",
      "WeirEngine",
    ]),
  .executableTarget(
    name: "Storyteller", dependencies: ["Weir"], path: "Examples/Storyteller", swiftSettings: commonSettings),
  // tests
  .target(
    name: "WeirTestSupport", dependencies: ["WeirBasics", "WeirModelFiles"], path: "Tests/Support",
    swiftSettings: commonSettings),
  tests("WeirBasicsTests", ["WeirBasics"]),
  tests("WeirKernelsTests", ["WeirKernels", "WeirBasics", "CWeirKernels", "WeirTestSupport"]),
  tests("WeirModelFilesTests", ["WeirModelFiles", "WeirBasics", "WeirTestSupport"]),
  tests("WeirKVCacheTests", ["WeirKVCache", "WeirBasics", "WeirTestSupport"]),
  // the second process of transfer tests
  .executableTarget(
    name: "WeirTransferPeer", dependencies: ["WeirKVTransfer"], path: "Tests/TransferPeer",
    swiftSettings: commonSettings),
  tests(
    "WeirKVTransferTests", ["WeirKVTransfer", "WeirTransferPeer", "WeirKVCache", "WeirBasics", "WeirTestSupport"]),
  tests("WeirSamplingTests", ["WeirSampling", "WeirBasics", "WeirTestSupport"]),
  tests(
    "WeirModelsTests",
    ["WeirModels", "WeirModelFiles", "WeirKernels", "WeirKVCache", "WeirBasics", "WeirTestSupport"]),
  tests("WeirTextTests", ["WeirText", "WeirModelFiles", "WeirBasics", "WeirTestSupport"]),
  tests("WeirSchedulingTests", ["WeirScheduling", "WeirKVCache", "WeirBasics", "WeirTestSupport"]),
  tests("WeirClusterTests", ["WeirCluster", "WeirBasics", "WeirTestSupport"]),
  tests("WeirPoliciesTests", ["WeirPolicies", "WeirKVCache", "WeirCluster", "WeirBasics", "WeirTestSupport"]),
  tests(
    "WeirEngineTests",
    [
      "WeirEngine", "Weir", "WeirModels", "WeirModelFiles", "WeirKernels", "WeirKVCache", "WeirPolicies", "WeirText",
      "WeirSampling", "WeirScheduling", "WeirKVTransfer", "WeirBasics", "WeirTestSupport",
    ]),
  tests(
    "WeirEvaluationTests",
    [
      "WeirEvaluation", "WeirEngine", "WeirPolicies", "WeirKVCache", "WeirKVTransfer", "WeirCluster", "Weir",
      "WeirModelFiles", "WeirText", "WeirBasics",
      "WeirTestSupport",
    ]),
  tests("HouseTests", []),
]

var products: [Product] = [.library(name: "Weir", targets: ["Weir"])]

var dependencies: [Package.Dependency] = [
  .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
  .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
]

if !coreOnly {
  dependencies += [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.30.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ]
  targets += [
    room(
      "WeirServing",
      [
        "WeirBasics", "WeirKVCache", "WeirText", "WeirSampling", "WeirKVTransfer", "WeirCluster", "WeirEngine",
        "CWeirZMQ", logging, crypto,
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ], resources: [.embedInCode("Web")]),
    .executableTarget(
      name: "WeirCLI",
      dependencies: [
        "Weir", "WeirBasics", "WeirKernels", "WeirModelFiles", "WeirKVCache", "WeirModels", "WeirText", "WeirSampling",
        "WeirScheduling", "WeirKVTransfer", "WeirCluster", "WeirPolicies", "WeirEngine", "WeirEvaluation",
        "WeirServing", logging,
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: commonSettings + releaseSettings),
    tests(
      "WeirServingTests",
      [
        "WeirServing", "Weir", "WeirCluster", "WeirKVTransfer", "WeirPolicies", "WeirModelFiles", "WeirEngine",
        "WeirEvaluation", "WeirKVCache", "WeirText", "WeirSampling",
        "WeirBasics",
        "WeirTestSupport",
        logging,
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
  ]
  products.append(.executable(name: "weir", targets: ["WeirCLI"]))
}

let package = Package(
  name: "weir",
  products: products,
  dependencies: dependencies,
  targets: targets,
  swiftLanguageModes: [.v6]
)
