// Handing over what a KV policy has kept: lanes, positions and masses instead of the whole prompt.
//
// The prompt's end is where a policy has just been asked, so the blocks that travel hold the budget, not the prompt. The
// last token's logits came from lanes that are gone by then; its final state travels with them, and the receiver draws
// the first token from it as the sender would have. What later rows choose their keys by (abstracts of sentences, query
// means) does not travel: the first of those rows makes it of the tokens and of the keys that came, here as there.

import WeirBasics
import WeirKVCache
import WeirKVTransfer
import WeirModels
import WeirScheduling

extension StepLoop {
  /// Policy, budget and prompt in one number: nodes whose numbers differ do not take each other's lanes.
  func policyHash(of request: GenerationRequest) -> UInt64 {
    guard let wanted = request.kvPolicy ?? configuration.kvPolicy else { return 0 }
    let budget =
      switch wanted.budget {
      case .slots(let slots): "slots \(slots)"
      case .ratio(let ratio): "ratio \(ratio)"
      case nil: "none"
      }
    let text = "\(wanted.name)\n\(budget)\n\(request.policyPromptTokens ?? request.prompt.count)"
    return KVChecksum.value(of: Array(text.utf8), seed: 0x706f_6c69_6379)
  }

  /// What goes with the blocks of a sequence whose prompt has just been computed; nil if it cannot be handed over.
  func laneParcel(of request: LiveRequest, _ sequence: Sequence, _ lanes: LaneTable) -> [UInt8]? {
    // Later the lanes are those of a continuation; a question that waits for room belongs to this node.
    guard sequence.computed == sequence.promptCount, !lanes.isQuestionDue, !request.promptState.isEmpty,
      let state = lanes.state
    else { return nil }
    let bytes = LaneParcel(state: state, output: request.promptState).bytes
    guard bytes.count <= HandoffMessage.payloadBytesLimit else {
      handoffs.sendFailures["lane_state_too_large", default: 0] += 1
      return nil
    }
    return bytes
  }

  /// Lanes have come, checked: the request runs from there, first with the token that the prompt's end gives.
  func adoptLanes(_ receipt: HandoffReceipt, _ arrival: Arrival) {
    let (live, offer) = (arrival.live, receipt.offer)
    var submission = arrival.submission
    let tokens = submission.tokens
    guard offer.lanes?.policyHash == arrival.policyHash, offer.positions == 0..<tokens.count,
      receipt.firstDifference(request: arrival.ticket.request, tokens: tokens, salt: submission.salt) == nil,
      let empty = submission.lanes,
      let parcel = try? LaneParcel(bytes: receipt.payload, computed: tokens.count, lanes: empty.counts.count),
      parcel.output.count == model.description.width, let lanes = empty.restored(from: parcel.state),
      lanes.longest == offer.lanes?.slots
    else {
      noteHandoff(arrival, receipt, refusal: HandoffRefusal.policy.code)
      pool.close(receipt.table, tokens: [], filledSlots: 0, salt: receipt.table.salt, keep: false)
      return computeHere(live, submission, HandoffRefusal.policy.code)
    }
    noteHandoff(arrival, receipt)
    submission.lanes = lanes
    var table = receipt.table
    pool.commit(&table, lanes: lanes)
    let sequence = scheduler.adopt(submission, table: table, computed: tokens.count, cachedTokens: 0)
    begin(sequence, of: arrival, receipt)
    var work = StepWork()
    work.parts = [
      StepWork.Part(
        request: live, sequence: sequence, rows: 0..<0, tokens: tokens.count..<tokens.count, promptOutputs: 0..<0,
        sampleOutput: live.maxTokens > 0 ? 0 : nil)
    ]
    sample(work, logits: model.logits(ofState: parcel.output, workspace: workspace))
    deliver(work)
  }
}
