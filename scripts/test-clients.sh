#!/usr/bin/env bash
# Starts a server on a free port with a small model made here, and runs the tests of real clients against it.
set -euo pipefail
cd "$(dirname "$0")/.."
model=.build/client-test.gguf
weir=.build/release/weir
[ -e "$model" ] || "$weir" bench make-model --geometry tiny --type q8_0 --seed 7 --output "$model"
log=$(mktemp)
"$weir" serve "$model" --host 127.0.0.1 --port 0 --served-model-name test-model --log-level info 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -f "$log"' EXIT
port=
for _ in $(seq 1 300); do
  port=$(sed -nE 's/.*listening on [a-z]+:\/\/127\.0\.0\.1:([0-9]+).*/\1/p' "$log" | head -1)
  [ -n "$port" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.2
done
[ -n "$port" ] || { echo "test-clients: the server did not say its port" >&2; cat "$log" >&2; exit 1; }
export WEIR_BASE_URL="http://127.0.0.1:$port" WEIR_MODEL=test-model
export WEIR_PROGRAM="$weir" WEIR_MODEL_FILE="$model"
timeout 600 .venv/bin/python -m pytest -q -p no:cacheprovider Tests/Clients || { tail -50 "$log" >&2; exit 1; }
# The page is tested where a browser is: none is downloaded for it.
if command -v chromium >/dev/null 2>&1; then
  scripts/venv.sh .venv Tests/Web/requirements.txt
  timeout 300 .venv/bin/python -m pytest -q -p no:cacheprovider Tests/Web || { tail -50 "$log" >&2; exit 1; }
else
  echo "test-clients: Tests/Web skipped, chromium is not installed" >&2
fi
