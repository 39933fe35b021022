// The vocabulary and the merges of tokenizer.json, and tokenizer_config.json.
import WeirBasics
import WeirModelFiles

extension TokenizerExport {
  static func model(_ vocabulary: TokenizerVocabulary) -> JSONValue {
    var pairs: [(String, JSONValue)] = []
    var numbers: [[UInt8]: Int] = [:]
    for (index, piece) in vocabulary.pieces.enumerated() where !piece.isEmpty && numbers[piece] == nil {
      // JSON holds no bytes that are not text; such a token cannot come from text either.
      guard let text = String(validating: piece, as: UTF8.self) else { continue }
      numbers[piece] = index
      pairs.append((text, .integer(Int64(index))))
    }
    let merges: [(left: [UInt8], right: [UInt8])] =
      switch vocabulary.mergeOrder {
      case .list(let list):
        list.filter { numbers[$0.left] != nil && numbers[$0.right] != nil && numbers[$0.left + $0.right] != nil }
      case .scores(let scores): Self.merges(vocabulary, scores: scores, numbers)
      }
    let unknown = vocabulary.unknownToken.map {
      JSONValue.string(String(decoding: vocabulary.pieces[$0.index], as: UTF8.self))
    }
    return [
      "type": "BPE", "dropout": .null, "unk_token": vocabulary.spelling == .spaceMark ? unknown ?? .null : .null,
      "continuing_subword_prefix": .null, "end_of_word_suffix": .null, "fuse_unk": true,
      "byte_fallback": .bool(vocabulary.kinds.contains(.byte)), "ignore_merges": .bool(vocabulary.prefersWholeWords),
      "vocab": .object(JSONObject(pairs)),
      "merges": .array(
        merges.map {
          .array([
            .string(String(decoding: $0.left, as: UTF8.self)), .string(String(decoding: $0.right, as: UTF8.self)),
          ])
        }),
    ]
  }

  /// Every way to join two pieces to a piece, pieces with high scores first; of the ways to make one piece, the one
  /// from pieces with low numbers.
  private static func merges(
    _ vocabulary: TokenizerVocabulary, scores: [Float], _ numbers: [[UInt8]: Int]
  ) -> [(left: [UInt8], right: [UInt8])] {
    func isJoinable(_ index: Int) -> Bool {
      vocabulary.kinds[index] == .normal || vocabulary.kinds[index] == .userDefined
    }
    let order = vocabulary.pieces.indices.filter(isJoinable).sorted {
      scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1
    }
    var result: [(left: [UInt8], right: [UInt8])] = []
    for index in order where numbers[vocabulary.pieces[index]] == index {
      let piece = vocabulary.pieces[index]
      var ways: [(left: Int, right: Int)] = []
      // A cut inside a character finds no piece.
      for cut in piece.indices.dropFirst() {
        guard let left = numbers[Array(piece[..<cut])], let right = numbers[Array(piece[cut...])] else { continue }
        if isJoinable(left), isJoinable(right) { ways.append((left, right)) }
      }
      ways.sort { $0.left != $1.left ? $0.left < $1.left : $0.right < $1.right }
      result += ways.map { (vocabulary.pieces[$0.left], vocabulary.pieces[$0.right]) }
    }
    return result
  }

  // MARK: tokenizer_config.json

  static func configuration(_ vocabulary: TokenizerVocabulary, _ source: ModelSource) -> JSONValue {
    func spelling(_ token: TokenID?) -> JSONValue? {
      token.map { .string(String(decoding: vocabulary.pieces[$0.index], as: UTF8.self)) }
    }
    var config: JSONObject = [
      "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
      "add_bos_token": .bool(vocabulary.bosToken.map { vocabulary.prefixTokens.contains($0) } ?? false),
      "add_eos_token": .bool(vocabulary.eosToken.map { vocabulary.suffixTokens.contains($0) } ?? false),
    ]
    config["bos_token"] = spelling(vocabulary.bosToken)
    config["eos_token"] = spelling(vocabulary.eosToken)
    config["unk_token"] = spelling(vocabulary.unknownToken)
    var length: JSONValue?
    var template: String?
    switch source {
    case .gguf(let file):
      let padding = file.metadata["tokenizer.ggml.padding_token_id"]?.intValue ?? -1
      if vocabulary.pieces.indices.contains(padding) { config["pad_token"] = spelling(TokenID(padding)) }
      let context = file.metadata[(source.architecture ?? "") + ".context_length"]?.intValue
      length = context.map { .integer(Int64($0)) }
      template = file.metadata["tokenizer.chat_template"]?.stringValue
    case .huggingFace(let folder):
      config["pad_token"] = folder.tokenizerConfig?["pad_token"]
      length = folder.tokenizerConfig?["model_max_length"] ?? folder.config["max_position_embeddings"]
      template = folder.chatTemplate
    }
    if let length { config["model_max_length"] = length }
    if let template, !template.isEmpty { config["chat_template"] = .string(template) }
    return .object(config)
  }
}
