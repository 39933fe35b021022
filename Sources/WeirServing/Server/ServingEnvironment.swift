// What the server takes from the outside world: time and chance, as values that tests replace.

public import WeirBasics

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The server's clocks and its source of identifiers.
public struct ServingEnvironment: Sendable {
  /// Monotonic time for durations.
  public var clock: any WeirClock
  /// Seconds since 1970, for `created` fields.
  public var unixSeconds: @Sendable () -> Int
  /// 64 unpredictable bits, for identifiers and secrets.
  public var randomBits: @Sendable () -> UInt64

  public init(
    clock: any WeirClock = SystemClock(),
    unixSeconds: @escaping @Sendable () -> Int = ServingEnvironment.systemUnixSeconds,
    randomBits: @escaping @Sendable () -> UInt64 = ServingEnvironment.systemRandomBits
  ) {
    self.clock = clock
    self.unixSeconds = unixSeconds
    self.randomBits = randomBits
  }

  /// The machine's calendar clock.
  @Sendable public static func systemUnixSeconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int(time.tv_sec)
  }

  /// The system's generator for secrets.
  @Sendable public static func systemRandomBits() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  /// 32 hexadecimal digits.
  func identifier() -> String { hex(randomBits()) + hex(randomBits()) }

  private func hex(_ bits: UInt64) -> String {
    let digits = String(bits, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
