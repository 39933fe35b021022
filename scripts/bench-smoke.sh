#!/usr/bin/env bash
# Runs every benchmark once and small: a bench that does not run is a defect, whatever its figures.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/start-server.sh
model=.build/bench-smoke.gguf
"$weir" bench make-model --geometry tiny --type q4_0 --seed 7 --output "$model"
"$weir" bench latency "$model" --prefill 64 --decode 8 --depths 0,64 --repetitions 1 --json --svg .build/bench-smoke-latency.svg
"$weir" bench throughput "$model" --requests 4 --input 64 --shared 32 --output 8 --json
"$weir" bench kernels --quick --json
"$weir" bench transfer --tokens 64 --layers 2 --repetitions 1 --curve 4,16 --curve-tokens 64 --no-pinned --json --svg .build/bench-smoke-transfer.svg
"$weir" bench churn --blocks 1024 --requests 50 --json --svg .build/bench-smoke-churn.svg
"$weir" bench disagg "$model" --kv-memory 16M --tokens 64 --answer 8 --repetitions 1 --curve 16 --curve-tokens 64 --requests 1 \
  --streamed 1 --streamed-tokens 64 --no-pinned --json --svg .build/bench-smoke-disagg.svg
"$weir" bench roles "$model" --kv-memory 16M --mixes 32/4 --requests 4 --in-flight 2 --no-pinned --json --svg .build/bench-smoke-roles.svg
tasks=.build/bench-smoke.jsonl
printf '%s\n' '{"id": "1", "messages": [{"role": "user", "content": "one"}], "answers": ["x"], "tags": {"set": "s"}}' \
  '{"id": "2", "prompt": "a two", "question": "two", "answers": ["y"], "tags": {"context_tokens": 9}}' > "$tasks"
"$weir" eval "$model" --tasks "$tasks" --max-answer-tokens 4 --speed-repetitions 1 --compare kv-cache-dtype=f16,q8_0 \
  --text README.md --text-tokens 200 --window 64 --svg .build/bench-smoke-eval.svg --output .build/bench-smoke-eval.json --json
"$weir" bench policies "$model" --tasks "$tasks" --policies h2o random oracle --budgets 50% --max-answer-tokens 4 \
  --speed-repetitions 1 --mass --json --svg .build/bench-smoke-policies.svg
"$weir" bench policy-text "$model" --text README.md --window 64 --tokens 128 --policies h2o --budgets 50% --json
"$weir" bench policy-throughput "$model" --kv-memory 1M --input 96 --output 16 --policies h2o --budgets 25% --repetitions 1 --json
"$weir" bench selection "$model" --depths 200 --budget 32 --decode 4 --repetitions 1 --json --svg .build/bench-smoke-selection.svg
start_server "$model"
"$weir" eval bench-smoke --tasks "$tasks" --max-answer-tokens 4 --question unknown --url "$url" --json
"$weir" bench serve --url "$url" --clients 2 --input 32 --output 8 --vocabulary 400 --json
python3 Benchmarks/Streaming/stream_kv.py "$model" --weir "$weir" --tokens 200 --vocabulary 150 --repetitions 1
echo "bench-smoke: every benchmark ran"
