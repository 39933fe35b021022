// Serves the scripted engine for the Python clients of Tests/Clients; off unless WEIR_SERVE_SCRIPTED names a port.

import Foundation
import Testing
import WeirBasics
import WeirEngine
import WeirSampling
import WeirServing

private let port = ProcessInfo.processInfo.environment["WEIR_SERVE_SCRIPTED"].flatMap { Int($0) }

@Suite struct ScriptedServing {
  /// Something that satisfies what the clients' tests ask for.
  @Sendable static func script(_ request: GenerationRequest) -> EngineScript {
    switch request.constraint {
    case .jsonSchema: EngineScript(answer: [.say("{\"ok\": true, \"level\": \"low\"}")])
    case .choice(let texts): EngineScript(answer: [.say(texts[0])])
    case .none: EngineScript(answer: [.say("Hello from the script.")])
    default: EngineScript(answer: [.say("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}")])
    }
  }

  @Test(.enabled(if: port != nil)) func `serve until the server does not answer for itself any more`() async throws {
    try await TestServer.with({ $0.port = port ?? 0 }, script: ScriptedServing.script) { server in
      // A paused engine is the sign to stop: POST /pause.
      while await !server.engine.status().isPaused { try await Task.sleep(for: .milliseconds(100)) }
    }
  }
}
