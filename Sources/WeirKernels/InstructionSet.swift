internal import CWeirKernels

// Which processor instructions the kernels use: chosen once, passed as a value.

/// A set of processor instructions that kernels are written for. Raw values are the words of the `--kernels` flag.
public enum InstructionSet: String, Sendable, CaseIterable {
  /// Plain C: the specification that every other set is tested against.
  case scalar
  /// AVX2, FMA and F16C.
  case avx2
  /// AVX-512 F, BW, DQ and VL.
  case avx512
  /// AVX-512 with the VNNI dot products.
  case vnni
  /// Advanced SIMD of arm64.
  case neon

  /// The sets this processor can run, slowest first.
  public static var available: [InstructionSet] { allCases.filter(\.isAvailable) }

  /// The fastest set this processor can run.
  public static var best: InstructionSet { available.last ?? .scalar }

  /// Whether this processor can run the set.
  public var isAvailable: Bool { weir_isa_available(isa) }

  /// Reads the word of a flag or an environment variable, for example `avx2`.
  ///
  /// - Throws: `KernelError` with code `unknown_instruction_set` if no set has that name, or
  ///   `instruction_set_unavailable` if this processor cannot run it.
  public init(flag: String) throws(KernelError) {
    guard let set = InstructionSet(rawValue: flag.lowercased()) else {
      let known = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
      throw KernelError(
        code: "unknown_instruction_set", message: "'\(flag)' is not an instruction set; use one of \(known)")
    }
    guard set.isAvailable else {
      let usable = InstructionSet.available.map(\.rawValue).joined(separator: ", ")
      throw KernelError(
        code: "instruction_set_unavailable",
        message: "this processor cannot run the '\(set.rawValue)' kernels; it can run \(usable)")
    }
    self = set
  }

  /// The number that the C dispatch tables are chosen by.
  var isa: weir_isa {
    switch self {
    case .scalar: WEIR_ISA_SCALAR
    case .avx2: WEIR_ISA_AVX2
    case .avx512: WEIR_ISA_AVX512
    case .vnni: WEIR_ISA_VNNI
    case .neon: WEIR_ISA_NEON
    }
  }
}
