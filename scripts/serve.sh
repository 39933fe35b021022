#!/usr/bin/env bash
# Serves a model with the release build: serve.sh MODEL HOST PORT [flags of `weir serve`]
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1 host=$2 port=$3
shift 3
if [ -z "$model" ]; then
  # No trained model is shipped yet: serve a small random one, so that every door of the server can be tried.
  model=.build/random-tiny.gguf
  if [ ! -e "$model" ]; then
    echo "serve: no MODEL= given; making a tiny random model (its answers are noise)"
    .build/release/weir bench make-model --geometry tiny --type q8_0 --seed 7 --output "$model"
  fi
fi
exec .build/release/weir serve "$model" --host "$host" --port "$port" "$@"
