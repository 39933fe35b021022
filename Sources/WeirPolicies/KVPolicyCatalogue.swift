// From a policy's name, parameters and budget to the policy.

public import WeirBasics
public import WeirKVCache

/// Why a KV policy cannot be made. Codes: `unknown_policy`, `unknown_policy_parameter`, `invalid_policy_parameter`,
/// `invalid_policy_budget`, `policy_not_allowed`.
public struct KVPolicyError: WeirError, Equatable {
  public let code: String
  public let message: String

  init(_ code: String, _ message: String) {
    self.code = code
    self.message = message
  }
}

/// Makes the KV policies of the catalogue. A request's name may carry parameters: `h2o:decay=0.99,slack=0`.
///
/// Every policy but `full`:
/// - `sinks`, `recent`: slots that always stay, `0...`, together less than the budget. Default: 4 and 32, or an eighth and
///   a quarter of a small budget.
/// - `chunk`: tokens of the prompt between two cuts, `1...1000000`, or `end`: the prompt is cut once, at its end. Default:
///   256, for `snapkv` and `sentencekv` `end`.
/// - `slack`: slots over the budget that a lane may gather while it decodes, `0...1024`. Default: 16.
///
/// `sink-recent`: `positions` (what rotations count: places in the `text`, or `slots` of the lane; `text`). `snapkv`:
/// `window` (`1...256`, 32), `kernel` (odd, `1...63`, 7), `pooling` (`max` or `mean`). `h2o`: `recent_share` (`0...1`, 0.5),
/// `decay` (over 0 to 1, 1), `page` (positions that stay or go together, `1...64`, 1). `random`: `seed` (`0...`, 0).
/// `oracle`: `spans`, positions as `start-end+start-end`, ends exclusive. `sentencekv`, whose budget is what a step reads:
/// `sentence` (longest, `1...4096` tokens, 64), `abstract` (what it is found by: `mean` of its keys, `bounds` of their
/// elements, or the `keys` themselves, the nearest of which counts), `query` (`mean` of the running sentence or `newest`),
/// `heads` (`mean` of those that share a KV head, `each`, or each by the `share` of its attention), `vector` (most tokens
/// that one abstract stands for, `1...4096`; the whole sentence), `dense_layers` (first layers that read everything,
/// `0...1024`, 0), `keep` (`1...1024` times the budget is kept at the prompt's end, chosen as `snapkv` does; `all`).
///
/// Budgets: `slotsMin` to `slotsMax` slots of a lane, or a share of the prompt, over 0 to 1, which never counts as fewer than
/// `slotsMin`. `full` takes a budget and does not need it, so that it can be compared under the same flags.
public struct KVPolicyCatalogue: KVPolicyResolver {
  /// Smallest budget of a lane.
  public static let slotsMin = 8
  public static let slotsMax = Int(Int32.max)

  private let limits: KVPolicyLimits

  /// - Parameter limits: what the operator allows.
  public init(limits: KVPolicyLimits = KVPolicyLimits()) { self.limits = limits }

  /// - Throws: ``KVPolicyError``, which names what was wrong and what would be right.
  public func policy(for request: KVPolicyRequest, facts: KVPolicyFacts) throws(KVPolicyError) -> KVPolicy {
    var parameters = try PolicyParameters(request.name)
    guard let key = KVPolicyKey(rawValue: parameters.policy) else {
      let names = KVPolicyKey.allCases.map(\.rawValue).joined(separator: ", ")
      throw KVPolicyError("unknown_policy", "there is no KV policy \(parameters.policy); there are \(names)")
    }
    try limits.check(key)
    try Self.check(request.budget, of: key)
    if key == .full {
      try parameters.finish()
      return .keepEverything
    }
    guard let wanted = request.budgetSlots(promptTokens: facts.promptTokens) else {
      throw KVPolicyError(
        "invalid_policy_budget",
        "\(key.rawValue) needs a budget: at least \(Self.slotsMin) slots of a lane, or a share of the prompt, over 0 to 1"
      )
    }
    let sinks = try parameters.integer("sinks", in: 0...Int(Int32.max))
    let recent = try parameters.integer("recent", in: 0...Int(Int32.max))
    var slots = max(Self.slotsMin, wanted)
    if case .ratio = request.budget, sinks != nil || recent != nil {
      // A share of a short prompt is lifted over the floors that were asked for, as it is over the least budget.
      slots = max(slots, (sinks ?? 4) + (recent ?? 32) + 1)
    }
    try limits.check(slots: slots, of: key)
    let floors = try Self.floors(sinks: sinks, recent: recent, budgetSlots: slots)
    let cadence = try Self.cadence(&parameters, key: key)
    if key == .sentencekv { return try Self.sentences(&parameters, slots: slots, floors, cadence) }
    let (retention, signals) = try Self.retention(key, &parameters, floors)
    let numbering: SlotNumbering? = try key == .sinkRecent ? parameters.word("positions") : nil
    try parameters.finish()
    return KVPolicy(
      retention: retention, budget: UniformBudget(slots: slots), signals: signals, floors: floors, cadence: cadence,
      scope: key == .tova ? .layer : .head, numbering: numbering ?? .text)
  }

  /// A selection of so many slots, over everything or over what the discard step keeps.
  private static func sentences(
    _ parameters: inout PolicyParameters, slots: Int, _ floors: RetentionFloors, _ cadence: RetentionCadence
  ) throws(KVPolicyError) -> KVPolicy {
    var policy = KVPolicy.keepEverything
    policy.floors = floors
    let heads = try parameters.word("heads") ?? SentenceHeads.mean
    let abstract: KeyAbstract = try parameters.word("abstract") ?? .mean
    let vector = try parameters.integer("vector", in: 1...4096)
    if abstract == .keys, let vector {
      throw parameters.wrong("vector", is: "\(vector)", mustBe: "left out: abstract=keys compares every key")
    }
    policy.selection = SentenceSelection(
      budgetSlots: slots,
      configuration: SentenceSelection.Configuration(
        sentenceTokens: try parameters.integer("sentence", in: 1...4096) ?? 64,
        abstract: abstract,
        averagesQueries: (try parameters.word("query") ?? SentenceQuery.mean) == .mean,
        comparesHeads: heads != .mean, sharesHeads: heads == .share,
        abstractTokens: vector,
        denseLayers: try parameters.integer("dense_layers", in: 0...1024) ?? 0), floors: floors)
    if case .number(let times) = try parameters.integer("keep", in: 1...1024, orWord: "all") {
      let window = ObservationWindow(floors: floors)
      policy.retention = window
      policy.signals = window.signals
      policy.budget = UniformBudget(slots: times * slots)
      policy.cadence = cadence
      policy.cadence.endsWithPrompt = true
    }
    try parameters.finish()
    return policy
  }

  private static func check(_ budget: KVPolicyRequest.Budget?, of key: KVPolicyKey) throws(KVPolicyError) {
    switch budget {
    case .slots(let slots) where !(slotsMin...slotsMax).contains(slots):
      throw KVPolicyError(
        "invalid_policy_budget",
        "the budget of \(key.rawValue) is \(slots) slots of a lane; it must be from \(slotsMin) to \(slotsMax)")
    case .ratio(let ratio) where !(ratio > 0 && ratio <= 1):
      throw KVPolicyError(
        "invalid_policy_budget",
        "the budget of \(key.rawValue) is \(ratio) of the prompt; a share must be over 0 and at most 1")
    default: break
    }
  }

  /// What was asked for, else a part of the budget.
  private static func floors(
    sinks: Int?, recent: Int?, budgetSlots: Int
  ) throws(KVPolicyError) -> RetentionFloors {
    let floors = RetentionFloors(
      sinkSlots: sinks ?? min(4, budgetSlots / 8), recentSlots: recent ?? min(32, budgetSlots / 4))
    guard floors.sinkSlots + floors.recentSlots < budgetSlots else {
      throw KVPolicyError(
        "invalid_policy_parameter",
        "sinks (\(floors.sinkSlots)) and recent (\(floors.recentSlots)) together must be less than the budget of "
          + "\(budgetSlots) slots")
    }
    return floors
  }

  private static func cadence(
    _ parameters: inout PolicyParameters, key: KVPolicyKey
  ) throws(KVPolicyError) -> RetentionCadence {
    var cadence = RetentionCadence()
    if key == .snapkv || key == .sentencekv { cadence.chunkTokens = nil }
    if let slack = try parameters.integer("slack", in: 0...1024) { cadence.slackSlots = slack }
    switch try parameters.integer("chunk", in: 1...1_000_000, orWord: "end") {
    case .number(let tokens): cadence.chunkTokens = tokens
    case .word: cadence.chunkTokens = nil
    case nil: break
    }
    return cadence
  }

  private static func retention(
    _ key: KVPolicyKey, _ parameters: inout PolicyParameters, _ floors: RetentionFloors
  ) throws(KVPolicyError) -> (any Retention, Set<KVSignal>) {
    switch key {
    case .full, .sentencekv: return (KeepEverything(), [])
    case .sinkRecent: return (SinkAndRecent(floors: floors), [])
    case .tova: return (NewestRow(floors: floors), NewestRow.signals)
    case .keydiff: return (DistinctKeys(floors: floors), DistinctKeys.signals)
    case .snapkv:
      let kernel = try parameters.integer("kernel", in: 1...63) ?? 7
      guard kernel % 2 == 1 else {
        throw parameters.wrong("kernel", is: "\(kernel)", mustBe: "an odd number in 1...63")
      }
      let window = ObservationWindow(
        configuration: ObservationWindow.Configuration(
          windowRows: try parameters.integer("window", in: 1...256) ?? 32, kernelSlots: kernel,
          pooling: try parameters.word("pooling") ?? .maximum), floors: floors)
      return (window, window.signals)
    case .h2o:
      let hitter = HeavyHitter(
        configuration: HeavyHitter.Configuration(
          recentShare: try parameters.number("recent_share", in: 0...1) ?? 0.5,
          decay: Float(try parameters.number("decay", in: 0x1p-20...1) ?? 1),
          pageSlots: try parameters.integer("page", in: 1...64) ?? 1), floors: floors)
      return (hitter, hitter.signals)
    case .random:
      return (RandomSlots(seed: UInt64(try parameters.integer("seed", in: 0...Int.max) ?? 0), floors: floors), [])
    case .oracle: return (ToldSpans(spans: try parameters.spans("spans") ?? [], floors: floors), [])
    }
  }
}

/// Values of `query` and of `heads` of `sentencekv`.
private enum SentenceQuery: String, CaseIterable { case mean, newest }
private enum SentenceHeads: String, CaseIterable { case mean, each, share }

extension KVPolicyRequest {
  /// The same request with one more parameter behind its name.
  ///
  /// - Parameters:
  ///   - parameter: its key, for example `slack`.
  ///   - value: without commas.
  public func adding(_ parameter: String, _ value: String) -> KVPolicyRequest {
    KVPolicyRequest(name: name + (name.contains(":") ? "," : ":") + "\(parameter)=\(value)", budget: budget)
  }
}
