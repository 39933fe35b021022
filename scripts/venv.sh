#!/usr/bin/env bash
# Makes a Python environment with the packages of a requirements file: venv.sh DIRECTORY REQUIREMENTS
set -euo pipefail
directory=$1
requirements=$2
stamp="$directory/.$(basename "$(dirname "$requirements")").stamp"
[ -e "$stamp" ] && cmp -s "$requirements" "$stamp" && exit 0
[ -x "$directory/bin/python" ] || python3 -m venv "$directory"
echo "venv: installing $(grep -c '^[a-z]' "$requirements") packages for $requirements"
"$directory/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
cp "$requirements" "$stamp"
