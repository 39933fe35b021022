#!/usr/bin/env bash
# Runs the training's own tests, then trains both models in miniature, exports them and asks Weir for answers.
# PYTHON=path takes another Python that has the packages of Training/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
  scripts/venv.sh .venv-train Training/requirements.txt
  PYTHON=.venv-train/bin/python
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export WEIR_PROGRAM="$PWD/.build/release/weir" WEIR_SMOKE_FOLDER="$folder"
export TOKENIZERS_PARALLELISM=false
timeout 600 "$PYTHON" -m pytest -q -p no:cacheprovider Training/tests Tests/Training
