#!/usr/bin/env bash
# Runs every benchmark once and small: a bench that does not run is a defect, whatever its figures.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/start-server.sh
model=.build/bench-smoke.gguf
"$weir" bench make-model --geometry tiny --type q4_0 --seed 7 --output "$model"
"$weir" bench latency "$model" --prefill 64 --decode 8 --depths 0,64 --repetitions 1 --json
"$weir" bench throughput "$model" --requests 4 --input 64 --shared 32 --output 8 --json
"$weir" bench kernels --quick --json
start_server "$model"
"$weir" bench serve --url "$url" --clients 2 --input 32 --output 8 --vocabulary 400 --json
echo "bench-smoke: every benchmark ran"
