#!/usr/bin/env bash
# Serves a model with the release build: serve.sh MODEL HOST PORT [flags of `weir serve`]
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1 host=$2 port=$3
shift 3
# Without MODEL=, the model that Weir ships is served.
exec .build/release/weir serve "${model:-Models/weir-chat-q8_0.gguf}" --host "$host" --port "$port" "$@"
