// The digest of KV blocks, in every instruction set.

import CWeirKernels
import Foundation
import Testing
import WeirTestSupport

@Suite struct DigestTests {
  private static let data = (0..<5000).map { UInt8(truncatingIfNeeded: ($0 * 2_654_435_761) >> 24) }
  private static let sets = [WEIR_ISA_SCALAR, WEIR_ISA_AVX2, WEIR_ISA_AVX512, WEIR_ISA_VNNI, WEIR_ISA_NEON]

  @Test func everySetAgreesWithAnIndependentImplementation() throws {
    let lines = try String(contentsOf: Golden.url("transfer/digests.txt"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 18)
    var tried = 0
    for line in lines {
      let numbers = line.split(separator: " ").compactMap { UInt64($0) }
      guard numbers.count == 2 else {
        Issue.record("not two numbers: \(line)")
        continue
      }
      for set in Self.sets {
        guard let kernels = weir_digest_kernels_for(set) else { continue }
        tried += 1
        // Also where no vector is aligned.
        for shift in [0, 1, 8] {
          let count = Int(numbers[0])
          let bytes = [UInt8](repeating: 0, count: shift) + Self.data.prefix(count)
          let value = bytes.withUnsafeBytes { kernels.pointee.digest($0.baseAddress.map { $0 + shift }, count) }
          #expect(value == numbers[1], "\(numbers[0]) bytes, set \(set.rawValue), shift \(shift)")
        }
      }
    }
    #expect(tried >= lines.count)
  }
}
