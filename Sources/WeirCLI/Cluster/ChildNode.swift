// One node of a local cluster: a `weir serve` process of our own.

import Foundation
import Synchronization
import WeirBasics
import WeirCluster

/// A running node. It ends when this process ends, however that happens: its standard input is a pipe from here.
final class ChildNode: Sendable {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  let role: Role
  let name: String
  private let processID: pid_t
  /// Open as long as the node shall live.
  private let input: Int32
  private let output: FileHandle
  private let hasEnded = Mutex<Bool>(false)
  private let log = Mutex<String>("")
  private static let logLimit = 1 << 16

  /// Starts the process.
  ///
  /// - Parameters:
  ///   - name: the node's id in the cluster.
  ///   - role: what it prefers to do.
  ///   - arguments: of `weir serve`, without role and port.
  ///   - environment: added to this process's.
  init(name: String, role: Role, arguments: [String], environment: [String: String]) throws {
    self.name = name
    self.role = role
    let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let words =
      [program, "serve"] + arguments + [
        "--role", role.rawValue, "--port", "0", "--transfer-port", "0", "--node-id", name, "--announce",
        "--disable-access-log", "--log-level", "warning",
      ]
    let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let (toInput, fromOutput, fromErrors) = (try Self.makePipe(), try Self.makePipe(), try Self.makePipe())
    defer { for end in [toInput.read, fromOutput.write, fromErrors.write] { close(end) } }
    processID = try Self.spawn(
      program, words, all.map { "\($0.key)=\($0.value)" },
      descriptors: [toInput.read, fromOutput.write, fromErrors.write])
    input = toInput.write
    output = FileHandle(fileDescriptor: fromOutput.read, closeOnDealloc: true)
    let errors = FileHandle(fileDescriptor: fromErrors.read, closeOnDealloc: true)
    Thread.detachNewThread { [self] in
      while let data = try? errors.read(upToCount: 4096), !data.isEmpty {
        append(String(decoding: data, as: UTF8.self))
      }
    }
  }

  /// Closed on exec, or a node would hold its neighbour's input open.
  private static func makePipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw Failure(description: "no pipe: \(String(cString: strerror(errno)))") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// In a process group of its own: Ctrl-C is for the cluster, which ends its nodes in order.
  private static func spawn(
    _ program: String, _ words: [String], _ environment: [String], descriptors: [Int32]
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (place, descriptor) in descriptors.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(place))
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    var arguments = words.map { strdup($0) } + [nil]
    var variables = environment.map { strdup($0) } + [nil]
    defer { for text in arguments + variables { free(text) } }
    var id: pid_t = 0
    let status = posix_spawn(&id, program, &actions, &attributes, &arguments, &variables)
    guard status == 0 else {
      throw Failure(description: "\(program) cannot be started: \(String(cString: strerror(status)))")
    }
    return id
  }

  private func append(_ text: String) {
    log.withLock { log in
      log += text
      if log.utf8.count > Self.logLimit { log = String(log.suffix(Self.logLimit / 2)) }
    }
  }

  /// Whether the process is there; one that has ended is taken note of here.
  var isRunning: Bool {
    hasEnded.withLock { hasEnded in
      var status: Int32 = 0
      if !hasEnded, waitpid(processID, &status, WNOHANG) != 0 { hasEnded = true }
      return !hasEnded
    }
  }

  /// The end of what it wrote to its standard error.
  var lastWords: String { log.withLock { String($0.suffix(2000)) } }

  /// Waits for the address that the node says it listens on.
  func address() async throws -> String {
    let line: String? = await withCheckedContinuation { continuation in
      Thread.detachNewThread { [output] in
        var bytes: [UInt8] = []
        while let byte = try? output.read(upToCount: 1)?.first, byte != 0x0A { bytes.append(byte) }
        continuation.resume(returning: bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self))
      }
    }
    guard let line, let address = (try? JSONValue.parse(utf8: Array(line.utf8)))?.object?["http"]?.string else {
      throw Failure(description: "node \(name) did not start:\n\(lastWords)")
    }
    return address
  }

  /// Asks it to end.
  func terminate() { if isRunning { kill(processID, SIGTERM) } }

  /// Waits for its end; ends it by force after `seconds`.
  func finish(within seconds: Double) async {
    let clock = SystemClock()
    let end = clock.now().advanced(bySeconds: seconds)
    while isRunning, clock.now() < end { try? await Task.sleep(nanoseconds: 20_000_000) }
    if isRunning { kill(processID, SIGKILL) }
    while isRunning { try? await Task.sleep(nanoseconds: 20_000_000) }
    close(input)
  }
}
