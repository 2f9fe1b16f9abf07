#!/usr/bin/env bash
# What is made from functions.inc is what the tree has, the raw declarations of bindings included, and mono_quant.h declares
# the same functions. The check itself sees a signature, a version, a function and a file that differ.
set -euo pipefail
source=$1
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
python3 "$source/capi/make_lists.py" --check
python3 "$source/bindings-examples/make_declarations.py" --check

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
refuses() { # FILE SED_EXPRESSION
  cp "$source"/capi/{make_lists.py,functions.inc,mono_quant.h,mono_quant_api.h,mono_quant.map,abi.json} "$work"
  sed -i "$2" "$work/$1"
  cmp -s "$source/capi/$1" "$work/$1" && { echo "$1: $2 changes nothing" >&2; exit 1; }
  if python3 "$work/make_lists.py" --check 2>/dev/null; then
    echo "the check does not see $2 in $1" >&2
    exit 1
  fi
}
refuses mono_quant.h 's/mnq_build_info(mnq_buffer\*\*/mnq_build_info(mnq_buffer*/'
refuses mono_quant.h 's/^MNQ_API const char\* mnq_version(void) MNQ_NOEXCEPT;//'
refuses mono_quant.h 's/^\(#define MNQ_ABI_VERSION_MINOR\) .*/\1 0/'
refuses functions.inc 's/^MNQ_FUNCTION(threads, 1_0, uint32_t/MNQ_FUNCTION(threads, 1_0, uint64_t/'
refuses functions.inc '/^MNQ_FUNCTION(version,/d'
refuses mono_quant_api.h 's/(\*threads)/(*number_of_threads)/'
refuses mono_quant.map '/mnq_threads;/d'
refuses abi.json 's/"size_t"/"int"/'
python3 "$work/make_lists.py"
cmp "$source/capi/abi.json" "$work/abi.json"
