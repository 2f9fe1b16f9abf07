#!/usr/bin/env bash
# test.sh PREFIX: runs the tests with the library that is installed in PREFIX, or with that of a build folder. PYTHON may
# name one that has NumPy and PyTorch; what needs them is left out where they are not there.
set -euo pipefail
cd "$(dirname "$0")"
MONO_QUANT_DIR=$(realpath "$1") PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 \
  exec "${PYTHON:-python3}" -W error::ResourceWarning -m unittest discover -s tests
