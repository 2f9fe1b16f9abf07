#!/usr/bin/env bash
# test.sh PREFIX: builds in a folder of its own and runs the tests with the library that is installed in PREFIX, or with
# that of a build folder.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd) prefix=$(realpath "$1")
"$here/build.sh" "$1" "$work"
"$work/tests" "$here/../../tests/data"

# What README.md shows compiles and runs.
sed -n '/^```csharp$/,/^```$/{/^```/!p}' "$here/README.md" >"$work/Readme.cs"
mcs -warnaserror -out:"$work/Readme.exe" -r:"$work/MonoQuant.dll" "$work/Readme.cs"
cp "$here/../../tests/data/digits.safetensors" "$work/model.safetensors"
cd "$work"
LD_LIBRARY_PATH=$prefix/lib mono Readme.exe >lines
grep -q '^fc1 int4 group 32 ' lines
