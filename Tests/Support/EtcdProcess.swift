// A real etcd on this machine, started and stopped by the test.

import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An etcd server with a folder of its own, gone with this object.
public final class EtcdProcess {
  /// Where etcd is installed, nil if nowhere.
  public static let path: String? = ["/usr/bin/etcd", "/usr/local/bin/etcd"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// Where it listens, on 127.0.0.1.
  public let port: Int
  private let peerPort: Int
  private let folder: URL
  private var process: Process?

  public init() throws {
    port = try Self.freePort()
    peerPort = try Self.freePort()
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-etcd-\(UUID().uuidString)")
    try start()
  }

  deinit {
    stop()
    try? FileManager.default.removeItem(at: folder)
  }

  /// Starts it (again, with the data it had) and waits until it answers.
  public func start() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.path ?? "/usr/bin/etcd")
    let client = "http://127.0.0.1:\(port)"
    let peer = "http://127.0.0.1:\(peerPort)"
    process.arguments = [
      "--name", "t", "--data-dir", folder.path, "--listen-client-urls", client, "--advertise-client-urls", client,
      "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "t=\(peer)",
      // The disk of a test machine may be slow; safety of the data is not what is tested.
      "--unsafe-no-fsync",
    ]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    process.environment = ["ETCD_UNSUPPORTED_ARCH": "arm64"]
    try process.run()
    self.process = process
    let deadline = Date().addingTimeInterval(30)
    while Date() < deadline {
      let answer = try? RawSocket.exchange(port: port, "GET", "/health")
      if answer?.status == 200, answer?.text.contains("true") == true { return }
      usleep(50_000)
    }
    throw RawSocket.Failure(description: "etcd did not answer on port \(port) within 30 s")
  }

  public func stop() {
    guard let process else { return }
    process.terminate()
    process.waitUntilExit()
    self.process = nil
  }

  private static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard result else { throw RawSocket.Failure(description: "no free port: \(errno)") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}
