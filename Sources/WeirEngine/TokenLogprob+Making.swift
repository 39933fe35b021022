// Log-probabilities from sampled tokens and from rows of logits.

import WeirBasics
import WeirSampling

extension TokenLogprob {
  init(_ sampled: SampledToken, topCount: Int) {
    self.init(
      token: sampled.token, logprob: sampled.logprob, rank: sampled.rank,
      top: sampled.top.prefix(topCount).map { Alternative(token: $0.token, logprob: $0.logprob) })
  }

  init(of token: TokenID, in row: RowLogprobs, topCount: Int) {
    self.init(
      token: token, logprob: row.logprob(of: token), rank: row.rank(of: token),
      top: row.top(topCount).map { Alternative(token: $0.token, logprob: $0.logprob) })
  }
}
