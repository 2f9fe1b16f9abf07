#!/usr/bin/env bash
# The library against the ABI that was released, kept in capi/abi-1.0.xml: names, versions, signatures, the function table.
# Any difference fails. Where it is an addition, that is, a new minor version, keep the new ABI beside the old one.
set -euo pipefail
source=$1 build=$2
library=$build/lib/libmono_quant.so.1
baseline=$source/capi/abi-1.0.xml
command -v abidiff >/dev/null || { echo "skipped: abidiff (abigail-tools) is not there"; exit 77; }

describe() { abidw --headers-dir "$source/capi" --drop-private-types --no-show-locs --no-comp-dir-path --no-corpus-path "$1"; }

describe "$library" >"$build/abi.xml"
# Without types the comparison could not fail where it matters.
grep -q "data-member" "$build/abi.xml" || { echo "the library says nothing of its types" >&2; exit 1; }
abidiff "$baseline" "$build/abi.xml" || {
  echo "the ABI differs from capi/abi-1.0.xml; what the library has now is in $build/abi.xml" >&2
  exit 1
}
