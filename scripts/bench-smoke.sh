#!/usr/bin/env bash
# Runs every benchmark once and small: a bench that does not run is a defect, whatever its figures.
set -euo pipefail
cd "$(dirname "$0")/.."
weir=.build/release/weir
model=.build/bench-smoke.gguf
"$weir" bench make-model --geometry tiny --type q4_0 --seed 7 --output "$model"
"$weir" bench latency "$model" --prefill 64 --decode 8 --depths 0,64 --repetitions 1 --json
"$weir" bench throughput "$model" --requests 4 --input 64 --shared 32 --output 8 --json
"$weir" bench kernels --quick --json
log=$(mktemp)
"$weir" serve "$model" --host 127.0.0.1 --port 0 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -f "$log"' EXIT
port=
for _ in $(seq 1 300); do
  port=$(sed -nE 's/.*listening on [a-z]+:\/\/127\.0\.0\.1:([0-9]+).*/\1/p' "$log" | head -1)
  [ -n "$port" ] && break
  sleep 0.1
done
"$weir" bench serve --url "http://127.0.0.1:$port" --clients 2 --input 32 --output 8 --vocabulary 400 --json
echo "bench-smoke: every benchmark ran"
