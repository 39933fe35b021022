// The field that chooses what a request keeps of its KV.

import WeirBasics
import WeirKVCache

/// Reads `kv_policy: {"name": "h2o", "budget": 256}`: a policy of the catalogue, a budget in slots per lane (`budget`) or
/// as a share of the prompt (`ratio`), and the policy's own parameters beside them.
enum PolicyFields {
  static func read(_ fields: FieldReader) throws(APIError) -> KVPolicyRequest? {
    guard let policy = try fields.reader("kv_policy") else { return nil }
    var name = try policy.requiredString("name", hint: "it names the policy, for example \"sink-recent\"")
    guard !name.isEmpty, name.utf8.count <= 256 else {
      throw .invalid(policy.name("name"), "\(policy.name("name")) must have 1 to 256 bytes")
    }
    let slots = try policy.integer("budget", in: 1...Int(Int32.max))
    let ratio = try policy.number("ratio", in: 0...1)
    if slots != nil, ratio != nil {
      throw .invalid(policy.name("ratio"), "kv_policy may have budget or ratio, not both")
    }
    if ratio == 0 { throw .invalid(policy.name("ratio"), "\(policy.name("ratio")) is 0, it must be over 0") }
    for (key, value) in policy.object where !["name", "budget", "ratio"].contains(key) && !value.isNull {
      name += (name.contains(":") ? "," : ":") + "\(key)=\(try text(value, of: policy.name(key)))"
    }
    return KVPolicyRequest(name: name, budget: slots.map { .slots($0) } ?? ratio.map { .ratio($0) })
  }

  /// A parameter as the catalogue reads it.
  private static func text(_ value: JSONValue, of field: String) throws(APIError) -> String {
    if let number = value.int { return "\(number)" }
    if let number = value.double { return "\(number)" }
    if let text = value.string, !text.contains(",") { return text }
    throw .wrongType(field, wanted: "a number or a word without commas", got: value)
  }
}
