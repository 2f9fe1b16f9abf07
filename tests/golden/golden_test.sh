#!/usr/bin/env bash
# What monoquant writes against an independent implementation in NumPy, read by the safetensors package itself.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_packages.sh"
venv=$build/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
if ! "$venv/bin/python" -c 'import numpy, safetensors' 2>/dev/null; then
  install_packages "$venv/bin/python" golden || { echo "skipped: the packages of golden cannot be had"; exit 77; }
fi
"$venv/bin/python" "$source/tests/golden/golden.py" "$build/bin/monoquant"
