// Keys, tenants and TLS settings.

import Testing
import WeirBasics
import WeirEngine
import WeirServing
import WeirTestSupport

private let request: JSONValue = ["prompt": "a", "cache_salt": "mine"]

@Suite struct AuthTests {
  @Test func `with keys, the API needs one and health does not`() async throws {
    try await TestServer.with({ $0.apiKeys = ["k1", "k2"] }) { server in
      for headers in [[:], ["Authorization": "Bearer no"], ["Authorization": "Basic k1"], ["x-api-key": ""]] {
        let response = try await server.post("/v1/completions", request, headers: headers)
        #expect(response.status == 401, "\(headers)")
        #expect(response.json["error"]?["code"]?.string == "invalid_api_key")
      }
      for headers in [["Authorization": "Bearer k1"], ["authorization": "bearer k2"], ["x-api-key": "k2"]] {
        #expect(try await server.post("/v1/completions", request, headers: headers).status == 200, "\(headers)")
      }
      for path in ["/health", "/metrics", "/", "/version", "/ready"] {
        #expect(try await server.get(path).status == 200)
      }
      #expect(try await server.post("/tokenize", ["prompt": "a"]).status == 401)
      #expect(try await server.send("POST", "/reset_prefix_cache").status == 401)
      let messages = try await server.post("/v1/messages", [:])
      #expect(messages.status == 401)
      #expect(messages.json["error"]?["type"]?.string == "authentication_error")
    }
  }

  @Test func `the admin key opens administration and nothing else does`() async throws {
    try await TestServer.with({
      $0.apiKeys = ["k1"]
      $0.adminKey = "root"
      $0.protectsMetrics = true
    }) { server in
      let none = try await server.send("POST", "/pause")
      #expect(none.status == 401)
      let client = try await server.send("POST", "/admin/pause", headers: ["x-api-key": "k1"])
      #expect(client.status == 403)
      let admin = try await server.send("POST", "/admin/pause", headers: ["Authorization": "Bearer root"])
      #expect(admin.status == 200)
      #expect(try await server.get("/metrics").status == 401)
      #expect(try await server.get("/metrics", headers: ["x-api-key": "k1"]).status == 200)
    }
  }

  @Test func `every key has a cache of its own, whatever salt its clients send`() async throws {
    try await TestServer.with({ $0.apiKeys = ["k1", "k2"] }) { server in
      for key in ["k1", "k2", "k1"] {
        _ = try await server.post("/v1/completions", request, headers: ["x-api-key": key])
      }
      let salts = server.engine.requests.map(\.cacheSalt)
      #expect(salts[0] == salts[2])
      #expect(salts[0] != salts[1])
      #expect(salts.allSatisfy { $0.hasSuffix(":mine") && !$0.contains("k1") })
      // A client cannot name another one's salt: its own prefix always comes first.
      let forged: JSONValue = ["prompt": "a", "cache_salt": .string(salts[1])]
      _ = try await server.post("/v1/completions", forged, headers: ["x-api-key": "k1"])
      #expect(server.engine.requests[3].cacheSalt != salts[1])
    }
  }

  @Test func `one key cannot read another one's stored response`() async throws {
    try await TestServer.with({ $0.apiKeys = ["k1", "k2"] }) { server in
      let made = try await server.post("/v1/responses", ["input": "a"], headers: ["x-api-key": "k1"])
      let id = try #require(made.json["id"]?.string)
      #expect(try await server.get("/v1/responses/\(id)", headers: ["x-api-key": "k1"]).status == 200)
      #expect(try await server.get("/v1/responses/\(id)", headers: ["x-api-key": "k2"]).status == 404)
    }
  }

  @Test func `settings out of range are refused before the server starts`() async throws {
    let changes: [(String, (inout ServingConfiguration) -> Void)] = [
      ("port", { $0.port = 70_000 }), ("max-body-bytes", { $0.maxBodyBytes = 1 }),
      ("max-connections", { $0.maxConnections = 0 }), ("keep-alive", { $0.keepAliveSeconds = 0 }),
      ("tls", { $0.tlsKeyPath = "key.pem" }), ("host", { $0.host = "" }), ("api-key", { $0.apiKeys = [""] }),
    ]
    for (setting, change) in changes {
      var configuration = ServingConfiguration()
      change(&configuration)
      do {
        try configuration.validate()
        Issue.record("\(setting) was accepted")
      } catch {
        #expect(error.setting == setting)
      }
    }
    try ServingConfiguration().validate()
  }
}
