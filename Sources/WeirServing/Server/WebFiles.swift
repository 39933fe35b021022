// The page's files, embedded by the build.

/// Files of the folder Web/, by the name the browser asks for.
enum WebFiles {
  static let all = [
    WebFile(path: "index.html", bytes: PackageResources.index_html),
    WebFile(path: "style.css", bytes: PackageResources.style_css),
    WebFile(path: "page.js", bytes: PackageResources.page_js),
    WebFile(path: "app.js", bytes: PackageResources.app_js),
    WebFile(path: "policies.html", bytes: PackageResources.policies_html),
    WebFile(path: "policies.js", bytes: PackageResources.policies_js),
  ]

  /// Those of a router: its page is the map of its cluster.
  static let router = [
    WebFile(path: "index.html", bytes: PackageResources.cluster_html),
    WebFile(path: "style.css", bytes: PackageResources.style_css),
    WebFile(path: "page.js", bytes: PackageResources.page_js),
    WebFile(path: "cluster.js", bytes: PackageResources.cluster_js),
  ]
}
