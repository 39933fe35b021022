#!/usr/bin/env bash
# Runs the evaluation and load tools that people use against a server with a small model: try-clients.sh [MODEL]
# Not part of CI: the tools are gigabytes. `make try-clients` installs them first. TOOLS=DIR names another environment.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/start-server.sh
tools=${TOOLS:-.venv-tools}/bin
model=${1:-.build/client-test.gguf}
[ -e "$model" ] || "$weir" bench make-model --geometry tiny --type q8_0 --seed 7 --output "$model"
out=$(mktemp -d .build/try-clients.XXXXXX)
start_server "$model" --served-model-name test-model --log-level info
export HF_HUB_OFFLINE=1 OPENAI_API_KEY=none HF_DATASETS_CACHE="$PWD/$out/datasets"

evaluate() { # task endpoint flags...
  local task=$1 endpoint=$2
  shift 2
  "$tools/lm-eval" run --tasks "$task" --include_path Tests/Clients/lm_eval --output_path "$out" --log_samples "$@"
}

echo "== lm-eval, /v1/chat/completions"
evaluate weir_continue chat --model local-chat-completions --apply_chat_template \
  --model_args "model=test-model,base_url=$url/v1/chat/completions,num_concurrent=2"
echo "== lm-eval, /v1/completions: text"
evaluate weir_continue completions --model local-completions \
  --model_args "model=test-model,base_url=$url/v1/completions,num_concurrent=2,tokenizer_backend=none,tokenized_requests=False"
echo "== lm-eval, /v1/completions: log-likelihoods, and the same computed by hand"
evaluate weir_choice completions --model local-completions \
  --model_args "model=test-model,base_url=$url/v1/completions,num_concurrent=2,tokenizer_backend=remote"
# NumPy follows small files only: it holds the weights as doubles.
reference=()
if [ -f "$model" ] && [ "$(stat -Lc %s "$model")" -lt 50000000 ]; then reference=("$model"); fi
"$tools/python" Tests/Clients/lm_eval/check_choice.py "$url" "$out" "${reference[@]}"

echo "== guidellm, four streams"
for i in $(seq 16); do echo "Story $i: once upon a time a cat named Tom went to the park."; done >"$out/prompts.txt"
"$tools/guidellm" run --backend "kind=openai_http,target=$url" --profile kind=concurrent,streams=4 \
  --constraint kind=max_requests,count=16 --data "kind=text_file,path=$out/prompts.txt" \
  --output "kind=json,path=$out/guidellm.json" --disable-progress
"$tools/python" - "$out/guidellm.json" <<'END'
import json, sys
totals = json.load(open(sys.argv[1]))["benchmarks"][0]["metrics"]["request_totals"]
print("guidellm:", totals)
assert totals["successful"] == 16 and totals["errored"] == 0, "not every request was answered"
END
echo "try-clients: results are in $out"
