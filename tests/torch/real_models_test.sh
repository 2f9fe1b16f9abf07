#!/usr/bin/env bash
# Real modules: silero-vad as it is shipped, and BERT, traced and scripted. What only the registry has is kept in the build
# folder's cache; skipped where it cannot be had.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_cache.sh"
fetch silero minilm transformers
PYTHONPATH=$cache/transformers exec "$python" "$source/tests/torch/real_models_test.py" "$build/bin/monoquant" "$cache"
