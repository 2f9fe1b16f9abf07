#!/usr/bin/env bash
# What the READMEs of layouts and methods show as an example of a row is what stands in the room. (That of the schemes is built:
# added_scheme.)
set -euo pipefail
cd "$1/src"
failed=0
for room in layouts methods; do
  example=$(sed -n '/^```cpp$/,/^```$/{/^```/!p}' $room/README.md)
  for file in $room/*.cpp; do
    [[ $(< "$file") == *"$example"* ]] && continue 2
  done
  echo "src/$room/README.md: its example stands in no file of the room" >&2
  failed=1
done
exit $failed
