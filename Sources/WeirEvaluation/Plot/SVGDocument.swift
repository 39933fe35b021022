// Charts as an SVG file: no dependency, light and dark by the reader's preference, the same bytes for the same values.

/// One or more charts under each other.
public struct SVGDocument: Sendable {
  public var charts: [Chart]

  public init(charts: [Chart]) { self.charts = charts }

  static let width = 760.0
  /// Colours that stay apart for most colour-blind readers (Okabe and Ito), and their lighter twins for dark pages.
  private static let colours: [(light: String, dark: String)] = [
    ("#0072b2", "#58b0ea"), ("#d55e00", "#ff8c42"), ("#009e73", "#3ddc97"), ("#cc79a7", "#f29ac7"),
    ("#56b4e9", "#a5dcff"), ("#b07d00", "#ffc857"), ("#666666", "#b0b0b0"), ("#8c564b", "#d0a698"),
  ]
  static var colourCount: Int { colours.count }

  /// The file's text.
  public var text: String {
    var body = ""
    var top = 0.0
    for chart in charts {
      var panel = SVGPanel(top: top)
      switch chart {
      case .line(let line): panel.draw(line)
      case .bar(let bar): panel.draw(bar)
      }
      body += panel.text
      top += panel.height
    }
    let size = "\(NumberText.plain(Self.width)) \(NumberText.plain(max(top, 1)))"
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(size)" role="img" font-family="sans-serif" font-size="12">
      <style>
      \(Self.style)
      </style>
      <rect class="page" x="0" y="0" width="100%" height="100%"/>
      \(body)</svg>

      """
  }

  private static var style: String {
    var rules = """
      .page{fill:#ffffff}text{fill:#222222}.title{font-size:15px;font-weight:bold}
      .axis{stroke:#444444;stroke-width:1}.grid{stroke:#dddddd;stroke-width:1}
      .line{fill:none;stroke-width:2}.whisker{stroke-width:1}

      """
    for (place, colour) in colours.enumerated() {
      rules += ".l\(place){stroke:\(colour.light)}.f\(place){fill:\(colour.light)}\n"
    }
    rules += "@media(prefers-color-scheme:dark){\n"
    rules += ".page{fill:#16181d}text{fill:#dddddd}.axis{stroke:#aaaaaa}.grid{stroke:#33363d}\n"
    for (place, colour) in colours.enumerated() {
      rules += ".l\(place){stroke:\(colour.dark)}.f\(place){fill:\(colour.dark)}\n"
    }
    return rules + "}"
  }

  /// Text as XML character data; scalars that XML 1.0 forbids become U+FFFD.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "\t", "\n", "\r": result += " "
      default:
        let isForbidden = scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF
        result.unicodeScalars.append(isForbidden ? "\u{FFFD}" : scalar)
      }
    }
    return result
  }
}
