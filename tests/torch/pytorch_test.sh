#!/usr/bin/env bash
# Quantized modules in a PyTorch that has never heard of us. The interpreter is one whose torch is the LibTorch we built
# against: that of the virtual environment, or python3.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_cache.sh"
exec "$python" "$source/tests/torch/pytorch_test.py" "$source" "$build"
