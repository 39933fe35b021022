#!/usr/bin/env bash
# Installs the Debian packages that Weir's build and tests need, only where they are missing.
set -euo pipefail

missing=()
need() { # command package
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need python3 python3
need curl curl
need etcd etcd-server
# Without it everything builds, but KV cannot be handed to another process.
[ -e /usr/include/ucp/api/ucp.h ] || missing+=(libucx-dev)
# Without it everything runs, but KV events cannot be published.
python3 -c 'import ctypes; ctypes.CDLL("libzmq.so.5")' >/dev/null 2>&1 || missing+=(libzmq5)
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ]; then
    echo "setup: please install as root: ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

if ! command -v swift >/dev/null 2>&1; then
  echo "setup: swift 6.2 or newer is needed (https://www.swift.org/install/linux)" >&2
  exit 1
fi
