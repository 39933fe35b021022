// weir export-tokenizer: the served model's tokenizer as files that Python tools read.

import ArgumentParser
import Foundation
import WeirModelFiles
import WeirText

struct ExportTokenizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export-tokenizer",
    abstract: "Write tokenizer.json and tokenizer_config.json of a model, for tools that need a local tokenizer.")

  @Argument(help: "A GGUF file or a Hugging Face folder.") var model: String
  @Argument(help: "The folder to write to; made if it does not exist.") var folder: String

  func run() throws {
    let source = try ModelSource.open(path: model)
    let files = try TokenizerExport.files(source: source)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, text) in files.sorted(by: { $0.key < $1.key }) {
      let path = folder + "/" + name
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      Terminal.write("\(path)\n")
    }
  }
}
