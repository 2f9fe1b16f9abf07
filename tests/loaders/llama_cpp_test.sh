#!/usr/bin/env bash
# monoquant's GGUF files in llama.cpp: its converter makes the input, and its library, built into a Python package, runs the output.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_cache.sh"
fetch transformers minilm llama_cpp
for folder in transformers llama_cpp; do
  export PYTHONPATH=$cache/$folder${PYTHONPATH:+:$PYTHONPATH}
done
exec "$python" "$source/tests/loaders/llama_cpp_test.py" "$build/bin/monoquant" "$cache"
