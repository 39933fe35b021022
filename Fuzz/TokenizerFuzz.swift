// Fuzz entry: a hostile tokenizer.json, and text through a sound tokenizer, the detokenizer and the call parsers.
// Build: see docs/HOUSE.md (swiftc -sanitize=fuzzer,address -parse-as-library with the module WeirText).
import WeirBasics
import WeirText

/// One tokenizer per splitter, made once.
private let tokenizers: [Tokenizer] = PreTokenizer.ggufNames.compactMap { name in
  guard let splitter = try? PreTokenizer(ggufName: name) else { return nil }
  var vocabulary = TokenizerVocabulary.bytes()
  vocabulary.preTokenizer = splitter
  return try? Tokenizer(vocabulary: vocabulary)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTokenizer(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  let text = String(decoding: bytes, as: UTF8.self)
  if let json = try? JSONValue.parse(utf8: bytes), let vocabulary = try? TokenizerVocabulary(tokenizerJSON: json),
    let tokenizer = try? Tokenizer(vocabulary: vocabulary)
  {
    _ = tokenizer.decode(tokenizer.encode("Hello, wörld 123 🦙\n"))
  }
  for tokenizer in tokenizers {
    let tokens = tokenizer.encode(text, parseSpecial: false)
    precondition(tokenizer.decode(tokens) == text)
    var stream = StreamingDetokenizer(tokenizer: tokenizer)
    precondition(tokens.map { stream.append($0) }.joined() + stream.finish() == text)
  }
  for format in ToolCallFormat.allCases {
    var parser = ToolCallParser(format: format)
    _ = parser.append(text) + parser.finish()
  }
  return 0
}
