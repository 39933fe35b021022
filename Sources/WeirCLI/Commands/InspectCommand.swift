// weir inspect: what a model file holds, and what serving it would take.

import ArgumentParser
import Foundation
import Weir
import WeirBasics
import WeirEngine
import WeirModelFiles
import WeirModels
import WeirText

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Print architecture, shapes, types, tokenizer and memory plan of a model.")

  @OptionGroup var model: ModelOptions
  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    let source = try ModelSource.open(path: model.model)
    let summary = ModelSummary(source)
    if json {
      Terminal.write(summary.json.serialized() + "\n")
      return
    }
    Terminal.write(summary.text() + "\n")
    let tokenizer = try Tokenizer(source: source)
    Terminal.write(
      "tokenizer        \(tokenizer.vocabularySize) entries, ends with \(tokenizer.endTokens.sorted())\n")
    let description = try DecoderDescription(source: source)
    let configuration = try model.engineConfiguration()
    let shape = KVShape(
      layers: description.layers, kvHeads: description.kvHeads, headDim: description.headDim,
      blockSlots: configuration.blockSlots, keyType: configuration.keyType, valueType: configuration.valueType)
    let context = configuration.contextLength ?? description.contextLength
    let blocks = try configuration.blockLimit(shape: shape, contextLength: context)
    Terminal.write(
      """
      KV per token     \(Terminal.bytes(shape.tokenBytes)) (\(shape.keyType.rawValue) keys, \(shape.valueType.rawValue) values)
      KV block         \(shape.blockSlots) tokens, \(Terminal.bytes(shape.blockBytes))
      KV pool          \(blocks) blocks, \(Terminal.bytes(blocks * shape.blockBytes)): \(blocks * shape.blockSlots) tokens

      """)
  }
}
