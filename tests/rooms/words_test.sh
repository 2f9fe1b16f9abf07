#!/usr/bin/env bash
# What only some rooms may say. The names of schemes and the numbers of their bits stand in schemes, layouts and methods,
# so that a new scheme is one file and one row. Our own metadata is text in two containers, and where programs hold it. Only the table of quantization
# methods knows what is in it. Functions have at most 50 lines, but for tables.
set -euo pipefail
cd "$1"
failed=0

# refuse WHAT PATTERN ALLOWED FILE...: complains of each line that the pattern matches, but in files that ALLOWED matches
refuse() {
  local what=$1 pattern=$2 allowed=$3 line
  shift 3
  while IFS= read -r line; do
    echo "$line: $what" >&2
    failed=1
  done < <(grep -HnE "$pattern" "$@" | grep -vE "^($allowed):" || true)
}

mapfile -t elsewhere < <(find src capi -name '*.h' -o -name '*.cpp' -o -name '*.inc' |
                         grep -vE '^src/(schemes|layouts|methods)/' | sort)
core=src/plan/own_metadata

# torch_dtypes.cpp has PyTorch's dtypes, some of which are called so, too.
torch_dtypes='src/containers/torch_save/torch_dtypes\.cpp'
names=$(sed -nE 's/^ *\.name = "([a-z0-9_]+)",$/\1/p' src/schemes/{,*/}*.cpp | paste -sd'|')
[ -n "$names" ] || { echo "no scheme has a name" >&2; exit 1; }
refuse "names a scheme: ask the scheme table" "\"($names)\"" "$torch_dtypes" "${elsewhere[@]}"
codes=$(tr '|' '\n' <<< "$names" | grep -E '^q' | paste -sd'|')
refuse "names a scheme in a text: make it from the scheme table" \
  "^[^/]*\"([^\"]*[^a-z0-9_\"])?($codes)([^a-z0-9_\"][^\"]*)?\"" "$torch_dtypes" "${elsewhere[@]}"

# dtype.cpp has the bits of plain numbers, dlpack.cpp those of DLPack's types, search_rules.cpp those that a search goes by.
plain='src/base/dtype\.cpp|capi/dlpack\.cpp|src/kernels/search_rules\.cpp'
refuse "reads a number of bits: ask the scheme" '(\.|->)bits\b' "$plain" "${elsewhere[@]}"

# PyTorch's archives are of two kinds: of a state dict, and of a module. Programs that hold a tensor's parts by themselves
# hold the text, too.
alone='src/quantize/one_tensor\.cpp'
writers="src/formats/(safetensors/safetensors|pytorch/pytorch_sink|torchscript/torchscript)\.cpp|$alone"
refuse "writes our own metadata" '\b(write|reserve)_own_metadata\(' "$core\.(h|cpp)|$writers" "${elsewhere[@]}"
refuse "reads our own metadata" '\b(parse|take)_own_metadata\(' "$core\.(h|cpp)|$alone" "${elsewhere[@]}"

refuse "knows a quantization method: quantization_methods.cpp has a row for it" \
  'compressed_tensors/|"compressed-tensors"' 'src/formats/folder/quantization_methods\.cpp' src/formats/folder/*.{h,cpp}
refuse "reads the config: the plan does" '\bConfig& |#include "config/' none src/formats/{,*/}*.{h,cpp} \
  src/layouts/*.{h,cpp}

# A function ends with the first brace that stands as far left as its start, as clang-format puts it.
mapfile -t functions < <({ printf '%s\n' "${elsewhere[@]}"; find src/{schemes,layouts,methods} -name '*.cpp'; } |
                         grep -v config_table.cpp)
while IFS= read -r line; do
  echo "$line: a function of more than 50 lines" >&2
  failed=1
done < <(awk '
  FNR == 1 { depth = -1 }
  depth < 0 && /^( |  )?[A-Za-z_[].*\) (const |noexcept |override |const override )?\{$/ && !/^ *(if|for|while|switch) / {
    depth = match($0, /[^ ]/) - 1; start = FNR; next }
  depth >= 0 && match($0, /^ *\}/) && RLENGTH == depth + 1 {
    if (FNR - start + 1 > 50) print FILENAME ":" start
    depth = -1 }' "${functions[@]}")
exit $failed
