// GET /v1/models, /health and its relatives, /version, /load, /get_server_info, /weir/state, /weir/requests,
// /kv_event_sources.

import HTTPTypes
import Hummingbird
import WeirBasics
import WeirEngine

struct ModelRoutes: Sendable {
  let state: ServingState

  func add(to router: Router<ServingContext>) {
    router.get("/v1/models") { _, _ in models() }
    // Names may hold slashes, as those of Hugging Face do.
    router.get("/v1/models/**") { _, context in try model(context.parameters.getCatchAll().joined(separator: "/")) }
    for path: RouterPath in ["/health", "/ping"] {
      router.get(path) { _, _ in Response(status: .ok) }
      router.head(path) { _, _ in Response(status: .ok) }
    }
    for path: RouterPath in ["/ready", "/v1/health"] {
      router.get(path) { _, _ in try await ready() }
      router.head(path) { _, _ in try await ready() }
    }
    router.get("/version") { _, _ in version() }
    router.get("/load") { _, _ in await load() }
    router.get("/get_server_info") { _, _ in serverInfo() }
    if let events = state.configuration.events { router.get("/kv_event_sources") { _, _ in eventSources(events) } }
    router.get("/weir/state") { _, _ in await pageState() }
    router.get("/weir/requests") { _, _ in
      Response.json(RequestsPage(status: await state.engine.status(), now: state.environment.clock.now()).json)
    }
  }

  private var information: EngineInformation { state.information }

  private func card(_ name: String) -> JSONValue {
    [
      "id": .string(name), "object": "model", "created": JSONValue(state.created), "owned_by": "weir",
      "root": .string(information.modelName), "parent": .null,
      "max_model_len": JSONValue(information.contextLength),
    ]
  }

  private func models() -> Response {
    let names = [information.modelName] + information.modelAliases
    return .json(["object": "list", "data": .array(names.map(card))])
  }

  private func model(_ name: String) throws -> Response {
    let plain = name.removingURLPercentEncoding() ?? name
    try state.checkModel(plain)
    return .json(card(plain))
  }

  private func ready() async throws -> Response {
    try state.checkAdmission()
    return .json(["status": "ok"])
  }

  private func version() -> Response {
    .json(["version": .string(state.configuration.version), "server": "weir"])
  }

  private func load() async -> Response {
    let status = await state.engine.status()
    return .json([
      "server_load": JSONValue(state.active.count), "running": JSONValue(status.load.runningSequences),
      "waiting": JSONValue(status.load.waitingRequests),
      "waiting_prompt_tokens": JSONValue(status.load.waitingPromptTokens),
      "kv_usage": JSONValue(status.load.kvUsage), "free_blocks": JSONValue(status.load.freeBlocks),
      "cached_blocks": JSONValue(status.load.cachedBlocks), "total_blocks": JSONValue(status.load.totalBlocks),
    ])
  }

  private func serverInfo() -> Response {
    .json([
      "version": .string(state.configuration.version), "model": modelObject(),
      "model_path": .string(information.modelName), "served_model_name": .string(information.modelName),
      "max_model_len": JSONValue(information.contextLength), "page_size": JSONValue(information.blockSlots),
      // Names under which vllm-router looks for what KV-aware routing needs.
      "model_id": .string(information.modelName), "instance_id": .string(state.instanceID),
      "kv_block_size": JSONValue(information.blockSlots),
      "max_running_requests": JSONValue(information.maxSequences),
    ])
  }

  /// Where KV events are published, by data-parallel rank, of which there is one: vLLM's KVEventsConfig as it resolved.
  private func eventSources(_ events: EventPublisher) -> Response {
    let configuration = events.configuration
    return .json([
      "0": [
        "enable_kv_cache_events": true, "publisher": "zmq", "encoding": "msgpack", "schema_version": 1,
        "endpoint": .string(events.endpoint), "replay_endpoint": events.replayEndpoint.map { .string($0) } ?? .null,
        "buffer_steps": JSONValue(configuration.bufferSteps), "hwm": JSONValue(configuration.highWater),
        "max_queue_size": JSONValue(configuration.maxQueueSize), "topic": .string(configuration.topic),
      ]
    ])
  }

  private func modelObject() -> JSONValue {
    [
      "name": .string(information.modelName), "architecture": .string(information.architecture),
      "parameters": JSONValue(information.parameterCount), "weight_bytes": JSONValue(information.weightBytes),
      "context_length": JSONValue(information.contextLength), "vocabulary": JSONValue(information.vocabularySize),
      "kv_key_type": .string(information.keyType.rawValue),
      "kv_value_type": .string(information.valueType.rawValue),
      "block_slots": JSONValue(information.blockSlots), "block_bytes": JSONValue(information.blockBytes),
      "total_blocks": JSONValue(information.totalBlocks), "prefix_caching": .bool(information.prefixCaching),
      "threads": JSONValue(information.threads), "kernels": .string(information.instructionSet),
      "max_sequences": JSONValue(information.maxSequences), "step_tokens": JSONValue(information.stepTokens),
      "embedding_width": JSONValue(information.embeddingWidth),
    ]
  }

  /// Everything the web page shows; it computes rates from two answers.
  private func pageState() async -> Response {
    let status = await state.engine.status()
    return .json(StatePage(state: state, status: status).body(model: modelObject()))
  }
}

extension String {
  /// Decodes `%41`; nil if a percent sign is not followed by two hexadecimal digits or the result is not UTF-8.
  func removingURLPercentEncoding() -> String? {
    var bytes: [UInt8] = []
    var rest = Array(utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = String(decoding: rest.prefix(2), as: UTF8.self)
      guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
