#!/usr/bin/env bash
# What monoquant writes against an independent implementation in NumPy, read by the safetensors package itself.
set -euo pipefail
source=$1 build=$2
venv=$build/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
if ! "$venv/bin/python" -c 'import numpy, safetensors' 2>/dev/null; then
  if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$source/tests/golden/requirements.txt"; then
    echo "skipped: the Python packages of tests/golden/requirements.txt cannot be had"
    exit 77
  fi
fi
"$venv/bin/python" "$source/tests/golden/golden.py" "$build/bin/monoquant"
