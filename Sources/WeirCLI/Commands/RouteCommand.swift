// weir route: one door in front of several nodes.

import ArgumentParser
import WeirCluster
import WeirPolicies
import WeirServing

struct RouteCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "route",
    abstract: "Route requests over prefill and decode nodes, behind one OpenAI-compatible address.",
    discussion: "Nodes are `weir serve --role ...`. A prompt is prefilled on one and continued on another, which takes "
      + "its KV over; where that fails, the prompt is computed again.")

  @OptionGroup var options: RoutingOptions
  @OptionGroup var registry: RegistryOptions
  @Option(help: "Address of a node that prefills, http://host:port; may be given several times.")
  var prefill: [String] = []
  @Option(help: "Address of a node that decodes; may be given several times.") var decode: [String] = []
  @Option(help: "Address of a node that says its role itself; may be given several times.") var node: [String] = []

  func run() async throws {
    var configuration = try options.configuration()
    configuration.nodes =
      prefill.map { RouterNode(url: Self.trimmed($0), role: .prefill) }
      + decode.map { RouterNode(url: Self.trimmed($0), role: .decode) } + node.map { RouterNode(url: Self.trimmed($0)) }
    configuration.trustRootsPath = registry.trustRootsPath
    let (key, logger, given) = (try options.key(), try options.logger(), configuration)
    try await registry.with { [options] place in
      var configuration = given
      configuration.registry = place
      try await RouterService.run(configuration: configuration, routing: key.policy, logger: logger) { port in
        Terminal.writeError(options.announcement(port: port, given))
      }
    }
  }

  private static func trimmed(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }
}
