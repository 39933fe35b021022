// A safetensors file: a JSON header and tensor data. Format: https://github.com/huggingface/safetensors

import WeirBasics

/// A safetensors file, mapped into memory. F32, F16 and BF16 tensors are views; others are only listed.
public struct SafetensorsFile: Sendable {
  public let path: String
  public let tensors: [String: TensorView]
  /// Names of tensors whose element type no kernel reads, with that type's name, for example `I64`.
  public let unsupportedTensors: [String: String]
  /// The strings of `__metadata__`.
  public let metadata: [String: String]
  public let file: MappedFile

  /// The format's own limit for the header.
  static let headerLimit = 100_000_000

  /// Opens a file.
  ///
  /// - Parameter path: the file.
  /// - Throws: `ModelFileError` naming the field that was wrong.
  public init(path: String) throws(ModelFileError) {
    try self.init(file: MappedFile(path: path))
  }

  /// Reads a file that is in memory already.
  ///
  /// - Parameter file: its bytes.
  /// - Throws: `ModelFileError` naming the field that was wrong.
  public init(file: MappedFile) throws(ModelFileError) {
    self.file = file
    path = file.path
    let (header, dataStart) = try Self.readHeader(file)
    var entries: [SafetensorsEntry] = []
    var metadata: [String: String] = [:]
    for (name, value) in header {
      if name == "__metadata__" {
        metadata = try Self.readMetadata(value, path: file.path)
      } else {
        entries.append(try SafetensorsEntry(name: name, value: value, path: file.path))
      }
    }
    try Self.checkCover(entries, dataBytes: file.bytes.count - dataStart, path: file.path)
    var tensors: [String: TensorView] = [:]
    var unsupported: [String: String] = [:]
    for entry in entries {
      guard let type = entry.type else {
        unsupported[entry.name] = entry.typeName
        continue
      }
      let range = (dataStart + entry.range.lowerBound)..<(dataStart + entry.range.upperBound)
      let view = Self.view(entry, type, UnsafeRawBufferPointer(rebasing: file.bytes[range]), owner: file)
      guard tensors.updateValue(view, forKey: entry.name) == nil else {
        throw ModelFileError(
          .duplicateName, path: file.path, field: "tensor \(entry.name)", "a tensor name may occur only once")
      }
    }
    self.tensors = tensors
    unsupportedTensors = unsupported
    self.metadata = metadata
  }

  private static func readHeader(_ file: MappedFile) throws(ModelFileError) -> (JSONObject, dataStart: Int) {
    let field = "header length"
    guard file.bytes.count >= 8 else {
      throw ModelFileError(.truncated, path: file.path, field: field, "the file must start with an 8-byte length")
    }
    let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(headerLimit) else {
      throw ModelFileError(
        .badCount, path: file.path, field: field, "\(length) bytes; a header has at most \(headerLimit)")
    }
    guard length <= UInt64(file.bytes.count - 8) else {
      throw ModelFileError(
        .truncated, path: file.path, field: field, "\(length) bytes, but the file has \(file.bytes.count - 8) left")
    }
    let end = 8 + Int(length)
    do {
      let value = try JSONValue.parse(utf8: Array(file.bytes[8..<end]), allowsDuplicateKeys: false)
      guard let object = value.object else {
        throw ModelFileError(
          .badJSON, path: file.path, field: "header", "it must be a JSON object, not \(value.kindName)")
      }
      return (object, end)
    } catch let error as JSONError {
      let reason: ModelFileError.Reason = error.reason == .duplicateKey ? .duplicateName : .badJSON
      throw ModelFileError(reason, path: file.path, field: "header", error.message)
    } catch let error as ModelFileError {
      throw error
    } catch {
      preconditionFailure("the header's parser throws nothing else")
    }
  }

  private static func readMetadata(_ value: JSONValue, path: String) throws(ModelFileError) -> [String: String] {
    guard let object = value.object else {
      throw ModelFileError(.badValue, path: path, field: "__metadata__", "it must be an object of strings")
    }
    var metadata: [String: String] = [:]
    for (key, value) in object {
      guard let text = value.string else {
        throw ModelFileError(.badValue, path: path, field: "__metadata__ \(key)", "it must be a string")
      }
      metadata[key] = text
    }
    return metadata
  }

  /// The format requires that the tensors tile the data: no hole, no overlap, nothing behind the last one.
  private static func checkCover(
    _ entries: [SafetensorsEntry], dataBytes: Int, path: String
  ) throws(ModelFileError) {
    for entry in entries where entry.range.upperBound > dataBytes {
      throw ModelFileError(
        .badOffset, path: path, field: "tensor \(entry.name) data_offsets",
        "\(entry.range) goes past the \(dataBytes) bytes of tensor data")
    }
    let filled = entries.filter { !$0.range.isEmpty }
    try checkOverlaps(filled.map { ($0.name, $0.range) }, path: path)
    var end = 0
    for entry in filled.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      guard entry.range.lowerBound == end else {
        throw ModelFileError(
          .badOffset, path: path, field: "tensor \(entry.name) data_offsets",
          "it starts at \(entry.range.lowerBound), but the tensor before it ends at \(end); there may be no hole")
      }
      end = entry.range.upperBound
    }
    guard end == dataBytes else {
      throw ModelFileError(
        .badOffset, path: path, field: "data_offsets",
        "the tensors end at \(end), but the file has \(dataBytes) bytes of tensor data")
    }
  }

  private static func view(
    _ entry: SafetensorsEntry, _ type: TensorType, _ bytes: UnsafeRawBufferPointer, owner: MappedFile
  ) -> TensorView {
    let address = bytes.baseAddress.map { UInt(bitPattern: $0) } ?? 0
    if address % UInt(type.blockBytes) == 0 {
      return TensorView(name: entry.name, type: type, shape: entry.shape, bytes: bytes, owner: owner)
    }
    // Older writers did not pad the header: copying keeps the promise of TensorView about alignment.
    let copy = MappedFile(copying: bytes, path: owner.path)
    return TensorView(name: entry.name, type: type, shape: entry.shape, bytes: copy.bytes, owner: copy)
  }
}

/// One entry of the header, checked by itself.
private struct SafetensorsEntry {
  let name: String
  let typeName: String
  let type: TensorType?
  let shape: [Int]
  let range: Range<Int>

  /// Bits per element of every type the format names.
  static let elementBits: [String: Int] = [
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16,
    "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6,
  ]

  init(name: String, value: JSONValue, path: String) throws(ModelFileError) {
    func error(_ reason: ModelFileError.Reason, _ part: String, _ detail: String) -> ModelFileError {
      ModelFileError(reason, path: path, field: "tensor \(name) \(part)", detail)
    }
    guard let typeName = value["dtype"]?.string, let bits = Self.elementBits[typeName] else {
      throw error(.unsupportedType, "dtype", "it must be one of \(Self.elementBits.keys.sorted())")
    }
    guard let axes = value["shape"]?.array else { throw error(.badShape, "shape", "it must be a list of lengths") }
    var shape: [Int] = []
    var totalBits = bits
    for axis in axes {
      guard case .integer(let length) = axis, length >= 0 else {
        throw error(.badShape, "shape", "every axis must be a whole number of at least 0")
      }
      let (product, overflow) = totalBits.multipliedReportingOverflow(by: Int(length))
      if overflow { throw error(.badShape, "shape", "\(axes.count) axes make more elements than memory can hold") }
      totalBits = product
      shape.append(Int(length))
    }
    guard let offsets = value["data_offsets"]?.array, offsets.count == 2,
      case .integer(let start) = offsets[0], case .integer(let end) = offsets[1], 0 <= start, start <= end
    else { throw error(.badOffset, "data_offsets", "it must be [start, end] with 0 <= start <= end") }
    guard totalBits % 8 == 0, Int(end - start) == totalBits / 8 else {
      throw error(
        .badShape, "data_offsets", "\(end - start) bytes, but \(shape) of \(typeName) takes \(totalBits / 8)")
    }
    self.name = name
    self.typeName = typeName
    self.shape = shape
    range = Int(start)..<Int(end)
    let known: [String: TensorType] = ["F32": .f32, "F16": .f16, "BF16": .bf16]
    // A tensor without elements has nothing a kernel could read.
    type = totalBits == 0 ? nil : known[typeName]
  }
}
