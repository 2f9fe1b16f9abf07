#!/usr/bin/env bash
# bindings-examples/node: its own tests, those of what callbacks throw among them; its tour is C's. Packages come from npm's
# registry, or from the build folder's cache.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools node npm make cc pkg-config
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || skip "node is $(node --version), and 20 is needed"
install_library
copy_examples node
cd "$work/node"
rm -rf node_modules native
npm ci --cache "$build/cache/npm" --prefer-offline --no-audit --no-fund >"$work/npm.log" 2>&1 ||
  skip "npm cannot fetch koffi: $(tail -n 1 "$work/npm.log")"
npm test >"$work/tests.log" 2>&1 || { cat "$work/tests.log" >&2; exit 1; }
grep -q '^# fail 0' "$work/tests.log"
compare_with_c node "$work/node/tour.js"

export npm_config_cache=$build/cache/npm npm_config_prefer_offline=true
run_readme
awk '/^```js$/ {inside = 1; next} /^```$/ {inside = 0} inside' README.md >readme.js
cp "$data/digits.safetensors" model.safetensors
node readme.js 2>/dev/null | grep -qE '^[0-9.]+ dB$'

# A package that brings the library needs no setting.
mkdir -p "native/linux-$(node -p process.arch)"
cp "$(dirname "$MONO_QUANT_LIBRARY")"/libmono_quant*.so* "native/linux-$(node -p process.arch)/"
env -u MONO_QUANT_LIBRARY node tour.js "$data/digits.safetensors" "$work/int8.safetensors" >"$work/lines"
cmp "$work/int8.safetensors" "$work/runs/1/c/int8.safetensors"
