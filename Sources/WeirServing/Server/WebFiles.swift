// The page's files, embedded by the build.

/// Files of the folder Web/, by the name the browser asks for.
enum WebFiles {
  static let all = [
    WebFile(path: "index.html", bytes: PackageResources.index_html),
    WebFile(path: "style.css", bytes: PackageResources.style_css),
    WebFile(path: "app.js", bytes: PackageResources.app_js),
  ]
}
