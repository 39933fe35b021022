#!/usr/bin/env bash
# Makes the golden values again with their independent implementations (NumPy, PyTorch, PyPI packages).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/venv.sh .venv-golden Tests/Golden/requirements.txt
for script in Tests/Golden/*/make*.py Tests/Golden/sampling/*.py; do
  echo "golden: $script"
  .venv-golden/bin/python "$script"
done
echo "golden: Tests/Golden/quants.py"
.venv-golden/bin/python Tests/Golden/quants.py >Tests/Golden/quants.txt
# What has changed, if anything: the values come out the same wherever they are made.
git status --short Tests
