// The second process of transfer tests and benches: announces its address on standard output and serves one sender.

import Foundation
import WeirKVTransfer

do {
  try TransferBenchPeer.run(word: CommandLine.arguments.last ?? "") { address in
    FileHandle.standardOutput.write(Data((address + "\n").utf8))
  }
} catch {
  FileHandle.standardError.write(Data("\(error)\n".utf8))
  exit(1)
}
