#!/usr/bin/env bash
# Starts a server on a free port with a small model made here, and runs the tests of real clients against it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/start-server.sh
model=.build/client-test.gguf
[ -e "$model" ] || "$weir" bench make-model --geometry tiny --type q8_0 --seed 7 --output "$model"
start_server "$model" --served-model-name test-model --log-level info
export WEIR_BASE_URL="$url" WEIR_PROGRAM="$weir" WEIR_MODEL_FILE="$model"
timeout 600 .venv/bin/python -m pytest -q -p no:cacheprovider Tests/Clients || { tail -50 "$log" >&2; exit 1; }
# The page is tested where a browser is: none is downloaded for it.
if command -v chromium >/dev/null 2>&1; then
  scripts/venv.sh .venv Tests/Web/requirements.txt
  timeout 300 .venv/bin/python -m pytest -q -p no:cacheprovider Tests/Web || { tail -50 "$log" >&2; exit 1; }
else
  echo "test-clients: Tests/Web skipped, chromium is not installed" >&2
fi
