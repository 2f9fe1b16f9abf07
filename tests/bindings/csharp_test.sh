#!/usr/bin/env bash
# bindings-examples/csharp: its own tests, those of callbacks that throw among them; its tour is C's.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools mcs mono make cc pkg-config
install_library
copy_examples csharp
bash "$work/csharp/test.sh" "$prefix" >"$work/tests.log" 2>&1 || { cat "$work/tests.log" >&2; exit 1; }
bash "$work/csharp/build.sh" "$prefix" "$work/program"
compare_with_c "$work/program/tour"
run_readme
