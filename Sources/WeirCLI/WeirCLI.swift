// The executable's entry point.
@main
struct WeirCommand {
  static func main() { print("weir") }
}
