#!/usr/bin/env bash
# package.sh TREE FOLDER: the wheel, of an unpacked archive of the library.
set -euo pipefail
exec python3 "$(dirname "$0")/make_wheel.py" "$1" "$2"
