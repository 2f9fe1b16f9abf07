#!/usr/bin/env bash
# Each room has its README, and what that shows as an example of a row is what stands in the room. (That of the schemes is built:
# added_scheme.)
set -euo pipefail
cd "$1/src"
failed=0
fail() {
  echo "src/$1: $2" >&2
  failed=1
}
stands_in() {
  local file
  while IFS= read -r file; do
    [[ $(< "$file") == *"$2"* ]] && return 0
  done < <(find "$1" -name '*.cpp' -o -name '*.h')
  return 1
}
for room in */; do
  room=${room%/}
  [[ $room == cmake ]] && continue
  if [[ ! -f $room/README.md ]]; then
    fail "$room" "it has no README.md"
    continue
  fi
  example=$(sed -n '/^```cpp$/,/^```$/{/^```/!p}' "$room/README.md")
  [[ -z $example || $room == schemes ]] || stands_in "$room" "$example" || fail "$room/README.md" "its example stands in no file of the room"
done
exit $failed
