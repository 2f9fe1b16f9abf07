#!/usr/bin/env bash
# The library against the ABIs that were released, kept in capi/abi/abi-1.*.xml: names, versions, signatures, the function
# table. Any difference from the newest fails; from the older ones, any but additions.
set -euo pipefail
source=$1 build=$2
library=$build/lib/libmono_quant.so.1
minor=$(sed -nE 's/^#define MNQ_ABI_VERSION_MINOR ([0-9]+)$/\1/p' "$source/capi/mono_quant.h")
command -v abidiff >/dev/null || { echo "skipped: abidiff (abigail-tools) is not there"; exit 77; }

describe() { abidw --headers-dir "$source/capi" --drop-private-types --no-show-locs --no-comp-dir-path --no-corpus-path "$1"; }

describe "$library" >"$build/abi.xml"
# Without types the comparison could not fail where it matters.
grep -q "data-member" "$build/abi.xml" || { echo "the library says nothing of its types" >&2; exit 1; }
abidiff "$source/capi/abi/abi-1.$minor.xml" "$build/abi.xml" || {
  echo "the ABI differs from capi/abi/abi-1.$minor.xml; what the library has now is in $build/abi.xml" >&2
  exit 1
}

# The function table may grow at its end: that is the one change of a type that is no break.
cat >"$build/abi.suppressions" <<'END'
[suppress_type]
  name = mnq_api
  type_kind = struct
  has_data_member_inserted_at = end
END
for ((old = 0; old < minor; ++old)); do
  abidiff --no-added-syms --suppressions "$build/abi.suppressions" "$source/capi/abi/abi-1.$old.xml" "$build/abi.xml" || {
    echo "the ABI breaks capi/abi/abi-1.$old.xml" >&2
    exit 1
  }
done
