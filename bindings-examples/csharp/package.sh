#!/usr/bin/env bash
# package.sh TREE FOLDER: the NuGet package, of an unpacked archive of the library; by dotnet, or else by mono's
# compiler.
set -euo pipefail
tree=$(realpath "$1") folder=$(realpath "$2") here=$(cd "$(dirname "$0")" && pwd)
if command -v dotnet >/dev/null; then
  MONO_QUANT_DIR=$tree exec dotnet pack "$here/MonoQuant" --configuration Release --output "$folder"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
"$here/build.sh" "$tree" "$work" || status=$?
[ $status -ne 77 ] || exit 0 # without a compiler there is no such package
[ $status -eq 0 ] || exit $status
python3 "$here/make_package.py" "$work/MonoQuant.dll" "$tree" "$folder"
