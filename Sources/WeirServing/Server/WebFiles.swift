// The page's files, embedded by the build.

/// Files of the folder Web/, by the name the browser asks for.
enum WebFiles {
  static let all = [
    WebFile(path: "index.html", bytes: PackageResources.index_html)
  ]
}
