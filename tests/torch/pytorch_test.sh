#!/usr/bin/env bash
# Quantized modules in a PyTorch that has never heard of us. The interpreter is one whose torch is the LibTorch we built
# against: that of the virtual environment, or python3.
set -euo pipefail
source=$1 build=$2
has_torch() { "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; }
for python in "$source/build/venv/bin/python" python3 none; do
  [ "$python" = none ] && { echo "skipped: no Python here has torch"; exit 77; }
  has_torch "$python" && break
done
exec "$python" "$source/tests/torch/pytorch_test.py" "$source" "$build"
