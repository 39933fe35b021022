// `kv_transfer_params`: how a router tells two nodes to share one request, in vLLM's words.
//
//   router -> prefill node   {do_remote_decode: true}                      with max_tokens 1
//   prefill node -> router   {do_remote_prefill: true, remote_...}         beside the choices
//   router -> decode node    the same object, with the client's own body
//
// Weir's own word beside them, for routers that know it:
//
//   router -> prefill node   {do_remote_decode: true, stream_blocks: true}
//   prefill node -> router   events: the object above as soon as the prompt begins, then the whole answer, then [DONE]

import WeirBasics
import WeirEngine
import WeirKVTransfer

enum HandoffFields {
  static let field = "kv_transfer_params"

  /// Reads what the request asks for.
  ///
  /// - Returns: where the ticket will be told if it is wanted before the prompt is computed.
  static func read(_ fields: FieldReader, into generation: inout GenerationRequest) throws(APIError) -> EarlyTicket? {
    guard let reader = try fields.reader(field) else { return nil }
    let hands = try reader.bool("do_remote_decode") ?? false
    let takes = try reader.bool("do_remote_prefill") ?? false
    guard !(hands && takes) else {
      throw .invalid(
        reader.name("do_remote_prefill"),
        "do_remote_prefill and do_remote_decode exclude each other: a node either prefills or goes on")
    }
    generation.handsOver = hands
    if takes { generation.arrival = try ticket(reader) }
    guard try reader.bool("stream_blocks") ?? false else { return nil }
    guard hands else {
      throw .invalid(
        reader.name("stream_blocks"), "stream_blocks is for a node that prefills; it needs do_remote_decode to be true")
    }
    let early = EarlyTicket()
    generation.onHandoff = { early.tell($0) }
    return early
  }

  private static func ticket(_ reader: FieldReader) throws(APIError) -> HandoffTicket {
    let host = try reader.requiredString("remote_host", hint: "the prefill node's answer names it")
    guard let port = try reader.integer("remote_port", in: 1...65_535) else {
      throw .missing(reader.name("remote_port"), "the prefill node's answer names it")
    }
    let request = try reader.requiredString("remote_request_id", hint: "the prefill node's answer names it")
    let engine = try reader.requiredString("remote_engine_id", hint: "the prefill node's answer names it")
    // What another kind of engine calls itself is no number of ours: such a ticket cannot be sealed by the cluster.
    var ticket = HandoffTicket(
      id: HandoffID(
        incarnation: UInt64(engine, radix: 16) ?? 0,
        number: UInt64(try reader.integer("remote_handoff", in: 0...Int.max) ?? 0)),
      request: RequestID(request), address: "\(host):\(port)",
      tokens: try reader.integer("remote_num_tokens", in: 0...Int.max) ?? 0)
    ticket.seal = bytes(hex: try reader.string("remote_seal") ?? "")
    return ticket
  }

  /// What the router is to pass on; null if nothing is kept.
  static func answer(_ ticket: HandoffTicket?) -> JSONValue {
    guard let ticket, let colon = ticket.address.lastIndex(of: ":"),
      let port = Int(ticket.address[ticket.address.index(after: colon)...])
    else { return .null }
    return [
      "do_remote_prefill": true, "do_remote_decode": false,
      "remote_engine_id": .string(String(ticket.id.incarnation, radix: 16)),
      "remote_request_id": .string(ticket.request.rawValue),
      "remote_host": .string(String(ticket.address[..<colon])), "remote_port": JSONValue(port), "tp_size": 1,
      "remote_num_tokens": JSONValue(ticket.tokens),
      "remote_block_ids": .array(ticket.blocks.map { JSONValue($0.index) }),
      "remote_handoff": .integer(Int64(clamping: ticket.id.number)), "remote_seal": .string(hex(ticket.seal)),
    ]
  }

  static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// The bytes of hexadecimal digits; none if it is something else.
  static func bytes(hex text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    guard digits.count % 2 == 0, digits.count <= 256 else { return [] }
    var result: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let byte = UInt8(String(decoding: digits[index..<(index + 2)], as: UTF8.self), radix: 16) else { return [] }
      result.append(byte)
    }
    return result
  }
}
