#!/usr/bin/env bash
# The library exports exactly the functions of functions.inc, each under its version, and needs nothing heavy.
set -euo pipefail
source=$1 build=$2
library=$build/lib/libmono_quant.so.1

sed -nE 's/^MNQ_FUNCTION\(([a-z0-9_]+), ([0-9]+)_([0-9]+), .*/mnq_\1@@MONO_QUANT_\2.\3/p' "$source/capi/functions.inc" | sort \
  >"$build/exports.expected"
nm -D --defined-only "$library" | awk '$2 != "A" {print $3}' | sort >"$build/exports.actual"
diff "$build/exports.expected" "$build/exports.actual"
[ "$(wc -l <"$build/exports.expected")" -ge 109 ]

allowed='libtbb.so.12|libz.so.1|libstdc\+\+.so.6|libm.so.6|libgcc_s.so.1|libc.so.6|ld-linux-x86-64.so.2|libasan.so.8|libubsan.so.1'
needed=$(readelf -d "$library" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p')
if grep -vE "^($allowed)$" <<<"$needed"; then
  echo "the library needs more than it should" >&2
  exit 1
fi
[ "$(readelf -d "$library" | sed -nE 's/.*SONAME.*\[(.*)\]/\1/p')" = libmono_quant.so.1 ]
