// The flags that turn TLS on at a port of ours.

import ArgumentParser

struct TLSOptions: ParsableArguments {
  @Option(name: .customLong("ssl-certfile"), help: "PEM certificate chain; turns TLS on.") var certificate: String?
  @Option(name: .customLong("ssl-keyfile"), help: "PEM private key.") var privateKey: String?
}
