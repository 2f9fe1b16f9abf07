#!/usr/bin/env bash
# What ./dev and the tests take from Python's and Node's registries is pinned, each package by version and hashes; what is
# Python's is taken in one place, and pip takes nothing else.
set -euo pipefail
source=$1 build=$2
. "$source/tests/support/python_packages.sh"
fail() { echo "$*" >&2; exit 1; }

lists=0
for list in "$source"/tests/packages/*.txt; do
  lists=$((lists + 1))
  # A requirement, then its hashes, each on a line of its own that goes on but for the last.
  awk -v list="$list" '
    function done_with() { if (name != "" && hashes == 0) { print list ": " name " has no hash"; bad = 1 } }
    /^[a-z0-9-]+==[0-9][0-9a-z.+]* \\$/ { done_with(); name = $1; hashes = 0; next }
    /^    --hash=sha256:[0-9a-f]+( \\)?$/ && length($1) == 78 { hashes++; next }
    { print list ": \"" $0 "\" is neither a package and its version nor a hash"; bad = 1 }
    END { done_with(); exit bad }' "$list" || exit 1
done
[ "$lists" -ge 9 ] || fail "only $lists lists were found"

elsewhere=$(cd "$source" && grep -rnE 'pip[0-9]?"? +(install|download)' dev tests src capi bindings-examples --include=*.sh --include=dev \
  --include=CMakeLists.txt --include=*.cmake |
  grep -vE '^tests/(support/python_packages|packaging/packages_test)[.]sh:|pip install .*--no-index' || true) # asks no registry
[ -z "$elsewhere" ] || fail "pip is called elsewhere: $elsewhere"

# npm takes what the lock file names, by hash, from whatever registry there is; it runs none of the packages' scripts.
for lock in "$source"/bindings-examples/*/package-lock.json; do
  if grep -nE '"resolved"|https?:' "$lock"; then fail "$lock names a place to take packages from"; fi
  [ "$(grep -c '^    "node_modules/' "$lock")" = "$(grep -c '^      "integrity": "sha512-' "$lock")" ] ||
    fail "$lock has a package without a hash"
  grep -qx 'ignore-scripts=true' "${lock%/*}/.npmrc" || fail "${lock%/*}/.npmrc lets scripts run"
done
elsewhere=$(cd "$source" && grep -rnE 'npm (install|i|ci)\b' dev tests src --include=*.sh --include=dev | grep -v ' ci ' || true)
[ -z "$elsewhere" ] || fail "npm takes what no lock file names: $elsewhere"

# A wheel that another one took the place of.
work=$build/packages_test
rm -rf "$work"
mkdir -p "$work/wheels" "$work/tests/packages"
python=$build/venv/bin/python
[ -x "$python" ] || python3 -m venv "$build/venv" || { echo "skipped: no Python here makes virtual environments"; exit 77; }
python3 - "$work/wheels" <<'END'
import pathlib, sys, zipfile
with zipfile.ZipFile(pathlib.Path(sys.argv[1]) / "mono_quant_pinned-1.0-py3-none-any.whl", "w") as wheel:
    info = "mono_quant_pinned-1.0.dist-info/"
    wheel.writestr("mono_quant_pinned.py", "value = 1\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: mono-quant-pinned\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", "mono_quant_pinned.py,,\n" + "".join(info + name + ",,\n" for name in ("METADATA", "WHEEL", "RECORD")))
END
source=$work
pin() { printf 'mono-quant-pinned==1.0 \\\n    --hash=sha256:%s\n' "$1" >"$work/tests/packages/pinned.txt"; }
take() { install_packages "$python" pinned --no-index --find-links "$work/wheels" --target "$work/$1"; }
pin "$(sha256sum "$work"/wheels/*.whl | cut -d' ' -f1)"
take right
[ -f "$work/right/mono_quant_pinned.py" ] || fail "the package that is pinned was not installed"
pin "$(printf 'another' | sha256sum | cut -d' ' -f1)"
if take wrong >"$work/refusal" 2>&1; then fail "a wheel of another hash was installed"; fi
grep -q 'DO NOT MATCH THE HASHES' "$work/refusal" || { cat "$work/refusal" >&2; exit 1; }
