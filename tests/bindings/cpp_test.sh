#!/usr/bin/env bash
# bindings-examples/cpp: its README's commands build it; its tour, found by find_package, is C's. The program with torch.hpp takes
# minutes to compile: only where MONO_QUANT_ALL_LANGUAGES is set, as by ./dev languages.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools c++ cmake make cc pkg-config
install_library
unset CMAKE_PREFIX_PATH Torch_DIR
export CXXFLAGS="-Wall -Wextra -Wpedantic -Werror"
if [ -n "${MONO_QUANT_ALL_LANGUAGES:-}" ]; then
  Torch_DIR=$(sed -n 's/^Torch_DIR:PATH=//p' "$build/CMakeCache.txt")
  export Torch_DIR CXXFLAGS=
fi
run_readme
compare_with_c "$work/clone/build-cpp/tour"
[ ! -x "$work/clone/build-cpp/module" ] || "$work/clone/build-cpp/module" >"$work/lines"
