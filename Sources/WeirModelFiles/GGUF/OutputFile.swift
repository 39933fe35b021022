// A file that appears under its name only when it is complete.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Writes to `path.part` and renames it at the end; removes it if it is dropped before.
final class OutputFile {
  private let path: String
  private let temporary: String
  private var descriptor: Int32

  init(path: String) throws(ModelFileError) {
    self.path = path
    temporary = "\(path).part"
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure() }
  }

  func write(_ bytes: [UInt8]) throws(ModelFileError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
      rest = rest.dropFirst(try advance(written))
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = UnsafeRawBufferPointer(rebasing: rest)
      rest = rest.dropFirst(try advance(systemWrite(descriptor, piece.baseAddress, piece.count)))
    }
  }

  /// Interprets write's result: bytes written, or none after an interruption.
  private func advance(_ written: Int) throws(ModelFileError) -> Int {
    if written < 0, errno == EINTR { return 0 }
    guard written > 0 else { throw failure() }
    return written
  }

  func finish() throws(ModelFileError) {
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, rename(temporary, path) == 0 else {
      let error = failure()
      unlink(temporary)
      throw error
    }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  private func failure() -> ModelFileError {
    let cause = String(cString: strerror(errno))
    return ModelFileError(.cannotWrite, path: path, field: "file", "it cannot be written (\(cause))")
  }
}

/// `write` of the C library, which the method of that name hides.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
