#!/usr/bin/env bash
# bindings-examples/cpp: found by find_package, its tour is C's. The program with torch.hpp takes minutes to compile: only where
# MONO_QUANT_ALL_LANGUAGES is set, as by ./dev languages.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools c++ cmake pkg-config
install_library
copy_examples cpp
torch=(-DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON)
[ -z "${MONO_QUANT_ALL_LANGUAGES:-}" ] || torch=(-DTorch_DIR="$(sed -n 's/^Torch_DIR:PATH=//p' "$build/CMakeCache.txt")")
cmake -S "$work/cpp" -B "$work/cpp/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wpedantic" "${torch[@]}" >/dev/null
cmake --build "$work/cpp/build" >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
if grep -q 'cpp/tour.cpp.*warning' "$work/build.log"; then fail "$(cat "$work/build.log")"; fi
compare_with_c "$work/cpp/build/tour"
[ ! -x "$work/cpp/build/module" ] || "$work/cpp/build/module" >"$work/lines"
