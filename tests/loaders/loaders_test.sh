#!/usr/bin/env bash
# What monoquant reads and writes against the loaders of those who own the formats, on real checkpoints. What only the
# registry has is kept in the build folder's cache; skipped where it cannot be had.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_cache.sh"
fetch transformers minilm compressed_tensors gguf checkpoints
for folder in transformers compressed_tensors gguf; do
  export PYTHONPATH=$cache/$folder${PYTHONPATH:+:$PYTHONPATH}
done
exec "$python" "$source/tests/loaders/loaders_test.py" "$build/bin/monoquant" "$cache"
