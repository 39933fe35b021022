// Stored blocks against gguf-py's bytes and against derived error bounds.

import Testing
import WeirBasics
import WeirModelFiles
import WeirTestSupport

@Suite struct QuantizerTests {
  @Test(arguments: [TensorType.f16, .bf16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1])
  func givesTheReferenceBytes(type: TensorType) throws {
    let file = try GGUFFile(path: Golden.path("modelfiles/quantised.gguf"))
    let source = ReferenceDequantizer.values(try #require(file.tensors["source"]).contents(), type: .f32)
    let expected = try #require(file.tensors[type.name]).contents()
    let found = Quantizer.encode(source, as: type)
    #expect(found.count == expected.count)
    let rowBytes = try #require(type.rowBytes(elements: 256))
    for row in 0..<(source.count / 256) {
      let range = (row * rowBytes)..<((row + 1) * rowBytes)
      #expect(Array(found[range]) == Array(expected[range]), "row \(row)")
    }
  }

  @Test func floatsStayExactWhereTheyFit() {
    let values: [Float] = [0, 1, -2.5, 65504, 0x1p-24, 3]
    #expect(ReferenceDequantizer.values(Quantizer.encode(values, as: .f32), type: .f32) == values)
    #expect(ReferenceDequantizer.values(Quantizer.encode(values, as: .f16), type: .f16) == values)
    #expect(Quantizer.encode([1], as: .bf16) == [0x80, 0x3F])
  }

  /// Bound per block of a K type. Affine (levels 0...L in parts, scales of s levels): rounding a level costs half a
  /// step; rounding the part's scale to 1/s of the largest costs up to L/(2s) of the largest step at the top; the
  /// minimum's rounding costs 1/(2s) of the largest minimum; f16 scales add 2^-11 of the range. Symmetric
  /// (-M..<M): the value opposite to the extreme one may be cut by one step; scale rounding as above.
  private func bound(_ block: ArraySlice<Float>, _ type: TensorType) -> Float {
    let part = type == .q4_K || type == .q5_K ? 32 : 16
    var step: Float = 0
    var lowest: Float = 0
    var largest: Float = 0
    for start in stride(from: block.startIndex, to: block.endIndex, by: part) {
      let values = block[start..<(start + part)]
      let low = min(0, values.min() ?? 0)
      let high = values.max() ?? 0
      largest = max(largest, values.map(abs).max() ?? 0)
      lowest = max(lowest, -low)
      step = max(step, high - low)
    }
    let range = step + lowest
    switch type {
    case .q2_K: return step / 3 * (0.5 + 3 / 30) + lowest / 30 + range * 0x1p-10
    case .q4_K: return step / 15 * (0.5 + 15 / 126) + lowest / 126 + range * 0x1p-10
    case .q5_K: return step / 31 * (0.5 + 31 / 126) + lowest / 126 + range * 0x1p-10
    case .q3_K: return largest / 4 * (1 + 4 / 64) + largest * 0x1p-10
    default: return largest / 32 * (1 + 32 / 256) + largest * 0x1p-10
    }
  }

  @Test(arguments: [TensorType.q2_K, .q3_K, .q4_K, .q5_K, .q6_K], [UInt64(1), 2, 3])
  func staysWithinTheDerivedBound(type: TensorType, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let values = (0..<(256 * 24)).map { place -> Float in
      // blocks of different spread and offset
      let block = Float(place / 256 + 1)
      return Float(generator.normalDouble()) * block * 0.1 + (place / 256 % 3 == 0 ? block : 0)
    }
    let read = ReferenceDequantizer.values(Quantizer.encode(values, as: type), type: type)
    #expect(read.count == values.count)
    var signal: Double = 0
    var noise: Double = 0
    for start in stride(from: 0, to: values.count, by: 256) {
      let limit = bound(values[start..<(start + 256)], type)
      for place in start..<(start + 256) {
        let error = abs(values[place] - read[place])
        #expect(error <= limit, "seed \(seed), element \(place): \(values[place]) became \(read[place])")
        signal += Double(values[place] * values[place])
        noise += Double(error * error)
      }
    }
    // A uniform error within the bound has a third of its square; a packing mistake would reach the signal itself.
    #expect(noise < signal * 0.05, "seed \(seed): relative noise \(noise / signal)")
  }

  @Test(arguments: TensorType.allCases) func zerosAndConstantsSurvive(type: TensorType) {
    let zeros = [Float](repeating: 0, count: 256)
    #expect(ReferenceDequantizer.values(Quantizer.encode(zeros, as: type), type: type) == zeros)
    for constant: Float in [1, -1] {
      let read = ReferenceDequantizer.values(
        Quantizer.encode([Float](repeating: constant, count: 256), as: type), type: type)
      #expect(read.allSatisfy { abs($0 - constant) < 0.01 }, "\(read[0])")
    }
  }

  @Test func findsScalesThatAreNotFinite() throws {
    for type in TensorType.allCases {
      var writer = GGUFWriter()
      try writer.declare("w", type: type, shape: [2, 256])
      let values = (0..<512).map { Float($0 % 17) - 8 }
      let stored = Quantizer.encode(values, as: type)
      for (offset, bits) in scaleOffsets(type) {
        var damaged = stored
        let at = stored.count - type.blockBytes + offset
        for (place, byte) in bits.enumerated() { damaged[at + place] = byte }
        let file = try GGUFFile(file: MappedFile(copying: writer.bytes { _ in damaged }, path: "nan.gguf"))
        let error = #expect(throws: ModelFileError.self) { try file.tensors["w"]?.validateScales() }
        #expect(error?.field == "tensor w" && error?.reason == .badValue, "\(type)")
      }
      let whole = try GGUFFile(file: MappedFile(copying: writer.bytes { _ in stored }, path: "whole.gguf"))
      try whole.tensors["w"]?.validateScales()
    }
  }

  /// Where a NaN or infinity can hide in the last block, and its bytes.
  private func scaleOffsets(_ type: TensorType) -> [(Int, [UInt8])] {
    let nan: [UInt8] = [0x01, 0x7E]
    let infinity: [UInt8] = [0x00, 0xFC]
    switch type {
    case .f32: return [(0, [0, 0, 0x80, 0x7F]), (0, [1, 0, 0xC0, 0xFF])]
    case .f16: return [(0, nan), (0, infinity)]
    case .bf16: return [(0, [0x80, 0x7F]), (0, [0xC0, 0xFF])]
    case .q8_0, .q4_0, .q5_0: return [(0, nan), (0, infinity)]
    case .q4_1, .q5_1, .q4_K, .q5_K: return [(0, nan), (2, infinity)]
    case .q2_K: return [(80, nan), (82, infinity)]
    case .q3_K: return [(108, nan), (108, infinity)]
    case .q6_K: return [(208, nan), (208, infinity)]
    }
  }
}
