// What travels with one HTTP request.

import Hummingbird
import Logging
import NIOCore

/// Hummingbird's request context with our own identity fields.
struct ServingContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  var caller = CallerContext(requestID: "")

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}
