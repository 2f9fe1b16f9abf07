#!/usr/bin/env bash
# The rooms of src/README.md: a room includes only itself and those before it in this list. capi sits on top; the command
# line and the examples include nothing of ours but mono_quant.h; kernels of one instruction set include only plain
# headers, so that no code for it leaks into functions that others share; LibTorch is in src/torch and torch.hpp (with its parts) alone.
set -euo pipefail
cd "$1"
rooms=(base kernels containers schemes layouts adapted methods linear config plan module formats quantize)
failed=0

# only WHAT ALLOWED FILE...: complains of each #include that the extended expression does not match
only() {
  local what=$1 allowed=$2 line
  shift 2
  while IFS= read -r line; do
    echo "$line: $what" >&2
    failed=1
  done < <(grep -HE '^ *# *include' "$@" | grep -vE "# *include ($allowed)" || true)
}

allowed=none
for room in "${rooms[@]}"; do
  allowed="$allowed|$room"
  mapfile -t files < <(find src/"$room" -name '*.h' -o -name '*.cpp')
  only "$room includes only its own headers and those of rooms below it" "<.*>|\"($allowed)/" "${files[@]}"
done
only "capi includes its own headers and those of the rooms" "<.*>|\"($allowed)/|\"[a-z_]+\\.(h|inc)\"" capi/*.{h,cpp}
mapfile -t files < <(find src/cli -type f)
only "the command line includes only mono_quant.h and its own headers" '<.*>|"mono_quant\.h"|"cli/' "${files[@]}"
only "the C++ face includes only mono_quant.h and its own headers, of torch.hpp besides LibTorch" \
  '<[a-z_]+>|"mono_quant\.h"|"[a-z_]+\.hpp"|<torch/torch\.h>' include/mono_quant/*.hpp
only "an example includes only its own headers and what is installed" '<.*>|"[a-z_]+\.h"' bindings-examples/*/*.*
only "a kernel file of one instruction set includes only plain headers" \
  '<(immintrin\.h|cstdint|cstddef|cstring|cfloat)>|"kernels/' \
  src/kernels/*_{avx2,avx512}.cpp src/kernels/*.inc.h src/kernels/{code_scale,scalar_conversions,search_start}.h
only "a file of products of one instruction set includes only plain headers" \
  '<(immintrin\.h|arm_neon\.h|cstdint|cstddef|cstring)>|"linear/(linear_kernels\.h|[a-z0-9_]+\.inc\.h)"' \
  src/linear/linear_{avx*,neon,dotprod}.cpp src/linear/*.inc.h src/linear/linear_kernels.h

mapfile -t files < <(find src/torch -name '*.h' -o -name '*.cpp')
only "the backend includes its own headers, base and module" '<.*>|"(torch|base|module)/' "${files[@]}"
if grep -lE '^ *# *include <(torch|ATen|c10|caffe2)/' "${files[@]}" | grep -v '/libtorch.h$'; then
  echo "of the backend only libtorch.h includes LibTorch" >&2
  failed=1
fi
if grep -rnE '^ *# *include <(torch|ATen|c10|caffe2)/' src capi include --exclude-dir=torch --exclude="torch*.hpp"; then
  echo "the core knows nothing of LibTorch" >&2
  failed=1
fi
exit $failed
