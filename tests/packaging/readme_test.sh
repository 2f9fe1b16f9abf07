#!/usr/bin/env bash
# The programs of README.md do what it says: each is taken out of it, compiled and run. Its settings are those there are.
set -euo pipefail
source=$1 build=$2
work=$build/readme_test
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/prefix" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name mono_quant.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir mono_quant)
sanitize=()
if readelf -d "$build/lib/libmono_quant.so.1" | grep -q libasan; then sanitize=(-fsanitize=address,undefined); fi

block() { awk -v start="^\`\`\`$1\$" '$0 ~ start {inside = 1; next} /^```$/ {inside = 0} inside' "$source/README.md"; }
block c >"$work/program.c"
block cpp >"$work/program.cpp"
# shellcheck disable=SC2046
cc "${sanitize[@]}" "$work/program.c" -o "$work/program" $(pkg-config --cflags --libs mono_quant) -Wl,-rpath,"$libdir"
# shellcheck disable=SC2046
c++ -std=c++20 "${sanitize[@]}" "$work/program.cpp" -o "$work/program_cpp" $(pkg-config --cflags --libs mono_quant) \
  -Wl,-rpath,"$libdir"

model=$source/tests/data/digits.safetensors
"$work/program" "$model" "$work/c.safetensors"
"$work/prefix/bin/monoquant" validate "$work/c.safetensors" --against "$model" >/dev/null
"$work/program_cpp" "$model" "$work/cpp.safetensors" | grep -qE '^[0-9.]+ dB$'
if "$work/program" "$work/missing" "$work/never" 2>"$work/refusal"; then exit 1; fi
grep -q "$work/missing" "$work/refusal"

# What it shows at a terminal runs, in that order.
mkdir "$work/terminal"
cp "$model" "$work/terminal/model.safetensors"
sed -n 's/^\$ monoquant /monoquant /p' "$source/README.md" >"$work/commands"
[ "$(wc -l <"$work/commands")" -ge 18 ]
mkdir "$work/terminal/my-model"
cp "$model" "$work/terminal/my-model/model.safetensors"
echo '{"model_type": "digits"}' >"$work/terminal/my-model/config.json"
if [ -f "$libdir/libmono_quant_torch.so" ]; then
  cp "$source/tests/data/digits_scripted.pt" "$work/terminal/model.pt"
else
  sed -i '/ model[a-z0-9-]*\.pt/d' "$work/commands" # modules need the backend
fi
(cd "$work/terminal" && PATH=$work/prefix/bin:$PATH bash -eux "$work/commands" >/dev/null)

# From "KEY: VALUES  (default DEFAULT; also per layer)" to the first columns of the table.
"$work/prefix/bin/monoquant" keys | sed -nE \
  -e 's/^([a-z_]+): (.*)  \(default (.*); also per layer\)$/| `\1` | \2 | \3 | yes |/p' \
  -e 's/^([a-z_]+): (.*)  \(default ([^;]*)\)$/| `\1` | \2 | \3 |  |/p' >"$work/keys"
[ "$(wc -l <"$work/keys")" -ge 15 ]
while IFS= read -r row; do
  grep -qF "$row" "$source/README.md" || { echo "README.md has no row of settings that starts with $row" >&2; exit 1; }
done <"$work/keys"
[ "$(wc -l <"$work/keys")" -eq "$(grep -cE '^\| `[a-z_]+` \| .* \| (yes)? ?\| ' "$source/README.md")" ]
