// A decision about one request, with the numbers that made it.

public import WeirBasics

/// Where a request is prefilled and where it is decoded.
public struct Route: Sendable, Equatable {
  public var prefill: NodeID
  public var decode: NodeID
  public var reasons: RouteReasons

  public init(prefill: NodeID, decode: NodeID, reasons: RouteReasons) {
    self.prefill = prefill
    self.decode = decode
    self.reasons = reasons
  }

  /// Whether one node does both, so that no KV travels.
  public var isColocated: Bool { prefill == decode }
}

/// One number of a decision; its name ends in its unit.
public struct RouteTerm: Sendable, Equatable {
  public var name: String
  public var value: Double

  public init(_ name: String, _ value: Double) {
    self.name = name
    self.value = value
  }
}

/// What one node would have cost.
public struct RouteOption: Sendable, Equatable {
  public var node: NodeID
  /// The side it was looked at for; nil for both on one node.
  public var side: Side?
  /// In the policy's unit; the smallest wins.
  public var cost: Double
  public var terms: [RouteTerm]

  public init(node: NodeID, side: Side?, cost: Double, terms: [RouteTerm]) {
    self.node = node
    self.side = side
    self.cost = cost
    self.terms = terms
  }
}

/// A node that was not looked at.
public struct RouteRefusal: Sendable, Equatable {
  public enum Cause: String, Sendable, CaseIterable {
    case dead, draining
    case otherModel = "other_model"
    case otherProtocol = "other_protocol"
    case tooSmall = "too_small"
    case noRoom = "no_room"
    case otherRole = "other_role"
  }

  public var node: NodeID
  /// The side it was refused for; nil for both.
  public var side: Side?
  public var cause: Cause

  public init(node: NodeID, side: Side?, cause: Cause) {
    self.node = node
    self.side = side
    self.cause = cause
  }
}

/// Why a route is what it is: shown to the client that asks for an explanation.
public struct RouteReasons: Sendable, Equatable {
  /// Key of the policy.
  public var policy: String
  /// One sentence.
  public var sentence: String
  /// All options that were compared, prefill before decode before both, by ascending id.
  public var options: [RouteOption]
  public var refusals: [RouteRefusal]

  public init(policy: String, sentence: String, options: [RouteOption], refusals: [RouteRefusal]) {
    self.policy = policy
    self.sentence = sentence
    self.options = options
    self.refusals = refusals
  }
}

extension Route {
  /// The route as a member of an answer's explanation.
  public var json: JSONValue {
    let options: [JSONValue] = reasons.options.map { option in
      [
        "node": JSONValue(option.node.rawValue), "side": JSONValue(option.side?.rawValue ?? "both"),
        "cost": JSONValue(option.cost),
        "terms": .object(JSONObject(option.terms.map { ($0.name, JSONValue($0.value)) })),
      ]
    }
    let refusals: [JSONValue] = reasons.refusals.map { refusal in
      [
        "node": JSONValue(refusal.node.rawValue), "side": JSONValue(refusal.side?.rawValue ?? "both"),
        "cause": JSONValue(refusal.cause.rawValue),
      ]
    }
    return [
      "prefill": JSONValue(prefill.rawValue), "decode": JSONValue(decode.rawValue),
      "policy": JSONValue(reasons.policy), "sentence": JSONValue(reasons.sentence), "options": .array(options),
      "refusals": .array(refusals),
    ]
  }
}
