// Gives pages back that have been read and will not be read again soon.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension MappedFile {
  /// Lets the system take back the memory of whole pages inside `part`. The bytes stay readable: they come from the
  /// file again. Does nothing for bytes that were copied into memory.
  ///
  /// - Parameter part: a part of `bytes`.
  public func releasePages(_ part: UnsafeRawBufferPointer) {
    guard isMapped, let start = part.baseAddress, let base = bytes.baseAddress else { return }
    precondition(start >= base && start + part.count <= base + bytes.count, "not a part of this file")
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = (Int(bitPattern: start) + page - 1) / page * page
    let end = Int(bitPattern: start + part.count) / page * page
    guard first < end else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: first), end - first, MADV_DONTNEED)
  }
}
