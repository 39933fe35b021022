// What makes K and V of equal tokens equal on two nodes, as one number.

import WeirBasics
import WeirKVTransfer
public import WeirModelFiles
public import WeirModels

extension ModelSource {
  /// A hash of every weight, as stored, and of every rule that K and V depend on. Read once at start, and only by
  /// engines that hand KV over: it costs one pass over the file.
  ///
  /// The context length is left out: nodes may differ in it. Where it changes the rotation (LongRoPE), the rotation's
  /// own factors differ.
  public func fingerprint(of model: DecoderModel) -> UInt64 {
    let rules = model.description
    var sum = KVChecksum(seed: 1)
    let words =
      "\(rules.architecture) \(rules.layers) \(rules.width) \(rules.heads) \(rules.kvHeads) \(rules.headDim) "
      + "\(rules.layerKinds) \(rules.ropes) \(rules.normEpsilon) \(rules.activation) \(rules.attentionScale) "
      + "\(rules.attentionSoftcap) \(rules.embeddingScale) \(rules.residualScale) \(rules.normsStoreOffset) "
      + "\(rules.normsWholeRow)"
    sum.add(Array(words.utf8))
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      sum.add(Array("\(name) \(tensor.type) \(tensor.shape)".utf8))
      withExtendedLifetime(tensor.owner) { unsafe sum.add(tensor.bytes) }
    }
    return sum.value
  }
}
