#!/usr/bin/env bash
# Starts a server on a free port with a small model made here, and runs the tests of real clients against it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/start-server.sh
model=.build/client-test.gguf
[ -e "$model" ] || "$weir" bench make-model --geometry tiny --type q8_0 --seed 7 --output "$model"
start_server "$model" --served-model-name test-model --log-level info
WEIR_BASE_URL="$url" timeout 600 .venv/bin/python -m pytest -q -p no:cacheprovider Tests/Clients \
  || { tail -50 "$log" >&2; exit 1; }
