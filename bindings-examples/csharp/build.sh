#!/usr/bin/env bash
# build.sh PREFIX FOLDER: the package's library, its tests and FOLDER/tour, by Debian's mono, for the library that is
# installed in PREFIX, or that of a build folder. (dotnet build takes the projects as they are.)
set -euo pipefail
command -v mcs >/dev/null && command -v mono >/dev/null || { echo "skipped: mcs or mono is not there" >&2; exit 77; }
prefix=$(realpath "$1") folder=$(realpath -m "$2")
cd "$(dirname "$0")"
mkdir -p "$folder"
mcs -warnaserror -optimize -target:library -out:"$folder/MonoQuant.dll" MonoQuant/*.cs
mcs -warnaserror -optimize -out:"$folder/Tour.exe" -r:"$folder/MonoQuant.dll" Tour/*.cs
mcs -warnaserror -optimize -out:"$folder/Tests.exe" -r:"$folder/MonoQuant.dll" -r:System.IO.Compression Tests/*.cs
for program in Tour Tests; do
  cat >"$folder/${program,,}" <<END
#!/bin/sh
LD_LIBRARY_PATH="$prefix/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec mono "$folder/$program.exe" "\$@"
END
  chmod +x "$folder/${program,,}"
done
