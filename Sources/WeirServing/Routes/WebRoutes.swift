// GET / and the page's files, which are part of the program.

import Crypto
import HTTPTypes
import Hummingbird

/// One embedded file.
struct WebFile: Sendable {
  let path: String
  let type: String
  let bytes: [UInt8]
  /// A strong tag: the digest of the content.
  let tag: String

  init(path: String, bytes: [UInt8]) {
    self.path = path
    self.bytes = bytes
    type = WebFile.type(of: path)
    let digits = SHA256.hash(data: bytes).prefix(12).map { byte in
      let text = String(byte, radix: 16)
      return text.count == 1 ? "0" + text : text
    }
    tag = "\"\(digits.joined())\""
  }

  static func type(of path: String) -> String {
    switch path.split(separator: ".").last.map(String.init) ?? "" {
    case "html": "text/html; charset=utf-8"
    case "css": "text/css; charset=utf-8"
    case "js", "mjs": "text/javascript; charset=utf-8"
    case "json", "map": "application/json"
    case "svg": "image/svg+xml"
    case "png": "image/png"
    case "ico": "image/x-icon"
    case "webmanifest": "application/manifest+json"
    case "woff2": "font/woff2"
    case "txt": "text/plain; charset=utf-8"
    default: "application/octet-stream"
    }
  }
}

struct WebRoutes: Sendable {
  let files: [WebFile]

  func add(to router: Router<ServingContext>) {
    for file in files {
      let paths = file.path == "index.html" ? ["/", "/index.html"] : ["/" + file.path]
      for path in paths {
        router.get(RouterPath(path)) { request, _ in answer(request, file) }
        router.head(RouterPath(path)) { request, _ in answer(request, file) }
      }
    }
  }

  private func answer(_ request: Request, _ file: WebFile) -> Response {
    let headers: HTTPFields = [
      .contentType: file.type, .cacheControl: "no-cache", .eTag: file.tag, .xContentTypeOptions: "nosniff",
    ]
    let known = request.headers[.ifNoneMatch].map { $0.split(separator: ",").map { $0.trimmingPrefix(" ") } } ?? []
    if known.contains(where: { $0 == file.tag || $0 == "*" }) {
      return Response(status: .notModified, headers: headers)
    }
    return Response(
      status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
  }
}
