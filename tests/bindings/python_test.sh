#!/usr/bin/env bash
# bindings-examples/python: its own tests, those of callbacks that raise among them, with NumPy and PyTorch where the build folder's
# virtual environment has them; its tour is C's.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools python3 make cc pkg-config
install_library
PYTHON=python3
[ ! -x "$build/venv/bin/python" ] || PYTHON=$build/venv/bin/python
export PYTHON
bash "$source/bindings-examples/python/test.sh" "$prefix" >"$work/tests.log" 2>&1 || { cat "$work/tests.log" >&2; exit 1; }
PYTHONPATH=$source/bindings-examples/python PYTHONDONTWRITEBYTECODE=1 \
  compare_with_c "$PYTHON" "$source/bindings-examples/python/example/tour.py"

# The wheel that pip makes of a clone, without a registry, in a virtual environment; it has the library inside.
python3 -m venv "$work/venv" >/dev/null || exit 0
unset MONO_QUANT_DIR
export PIP_NO_INDEX=1 PATH=$work/venv/bin:$PATH
run_readme
