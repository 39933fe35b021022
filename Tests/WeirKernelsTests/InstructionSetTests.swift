import Testing
import WeirKernels

struct InstructionSetTests {
  @Test func scalarIsAlwaysAvailableAndBestIsAvailable() {
    #expect(InstructionSet.available.first == .scalar)
    #expect(InstructionSet.best.isAvailable)
  }

  @Test func readsAvailableSetsFromAFlagIgnoringCase() throws {
    for set in InstructionSet.available { #expect(try InstructionSet(flag: set.rawValue.uppercased()) == set) }
  }

  @Test func refusesUnknownAndUnavailableSetsByName() {
    let unknown = #expect(throws: KernelError.self) { try InstructionSet(flag: "mmx") }
    #expect(unknown?.code == "unknown_instruction_set")
    for set in InstructionSet.allCases where !set.isAvailable {
      let unavailable = #expect(throws: KernelError.self) { try InstructionSet(flag: set.rawValue) }
      #expect(unavailable?.code == "instruction_set_unavailable")
    }
  }
}
