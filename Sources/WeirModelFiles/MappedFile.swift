// The ownership seam of the room: bytes of a file that stay where they are while their owner lives.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file mapped into memory for reading.
///
/// `@unchecked Sendable`: the bytes are mapped read-only (or, for `init(copying:path:)`, never written after `init`),
/// and unmapped only when the last reference goes away. A file that another process truncates while it is mapped
/// raises SIGBUS at the next read, as with every mapped file.
public final class MappedFile: @unchecked Sendable {
  /// The path as it was given.
  public let path: String
  /// All bytes of the file; valid while this object lives.
  public let bytes: UnsafeRawBufferPointer
  let isMapped: Bool

  /// Maps a regular file.
  ///
  /// - Parameter path: the file.
  /// - Throws: `ModelFileError` if it cannot be opened or is no regular file.
  public init(path: String) throws(ModelFileError) {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.failure(path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw ModelFileError(.cannotOpen, path: path, field: "file", "it must be a regular file")
    }
    let count = Int(status.st_size)
    isMapped = count > 0
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
      throw Self.failure(path)
    }
    bytes = UnsafeRawBufferPointer(start: base, count: count)
  }

  /// Takes a copy of bytes in memory instead, aligned to 64 bytes; for tests, fuzzing and misaligned tensors.
  ///
  /// - Parameters:
  ///   - source: the bytes.
  ///   - path: a name for error messages.
  public init(copying source: UnsafeRawBufferPointer, path: String) {
    self.path = path
    isMapped = false
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
    copy.copyMemory(from: source)
    bytes = UnsafeRawBufferPointer(copy)
  }

  /// Takes a copy of bytes in memory.
  ///
  /// - Parameters:
  ///   - source: the bytes.
  ///   - path: a name for error messages.
  public init(copying source: [UInt8], path: String) {
    self.path = path
    isMapped = false
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 64)
    copy.copyBytes(from: source)
    bytes = UnsafeRawBufferPointer(copy)
  }

  /// A copy of all bytes. Prefer this to `bytes` where nothing else keeps the file alive.
  ///
  /// - Returns: the file's bytes.
  public func contents() -> [UInt8] { withExtendedLifetime(self) { Array(bytes) } }

  deinit {
    if isMapped {
      munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    } else {
      bytes.deallocate()
    }
  }

  private static func failure(_ path: String) -> ModelFileError {
    ModelFileError(.cannotOpen, path: path, field: "file", "it cannot be read (\(String(cString: strerror(errno))))")
  }

  /// Whether something exists at `path`.
  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether `path` is a directory.
  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
