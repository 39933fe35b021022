#!/usr/bin/env bash
# Makes the golden values again with their independent implementations (NumPy, PyTorch, PyPI packages).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/venv.sh .venv-golden Tests/Golden/requirements.txt
for script in $(find Tests -name 'make_*.py' | sort); do
  echo "golden: $script"
  .venv-golden/bin/python "$script"
done
git status --short Tests
