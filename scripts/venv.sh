#!/usr/bin/env bash
# Makes a Python environment with the packages of a requirements file: venv.sh DIRECTORY REQUIREMENTS
set -euo pipefail
directory=$1
requirements=$2
stamp="$directory/.$(basename "$(dirname "$requirements")").stamp"
[ -e "$stamp" ] && cmp -s "$requirements" "$stamp" && exit 0
[ -x "$directory/bin/python" ] || python3 -m venv "$directory"
echo "venv: installing $(grep -c '^[a-z]' "$requirements") packages for $requirements"
install() { "$directory/bin/pip" install --quiet --disable-pip-version-check "$@"; }
# PyPI's PyTorch brings gigabytes for GPUs, which nothing here uses: its own index has a build for CPUs.
if torch=$(grep -oE '^torch==[0-9.]+' "$requirements"); then
  install --no-deps --extra-index-url https://download.pytorch.org/whl/cpu "$torch+cpu" 2>/dev/null ||
    echo "venv: no $torch+cpu to be had, taking the large one"
fi
install -r "$requirements"
cp "$requirements" "$stamp"
