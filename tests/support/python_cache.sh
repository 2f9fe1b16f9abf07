# For test scripts that need Python packages: sourced. Sets python to one that has torch, and cache to a folder that stays.
# What cannot be had makes the test a skipped one.
. "$source/tests/support/python_packages.sh"
cache=$source/build/cache/models
mkdir -p "$cache"

# A folder of that name where it runs is no torch: that has no file of its own.
has_torch() { "$1" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch").origin)' 2>/dev/null; }
for python in "$source/build/venv/bin/python" python3 none; do
  [ "$python" = none ] && { echo "skipped: no Python here has torch"; exit 77; }
  has_torch "$python" && break
done

# fetch LIST...: the packages of these lists, each in $cache/LIST.
fetch() {
  local list
  for list in "$@"; do
    fetch_packages "$python" "$list" "$cache" || { echo "skipped: the packages of $list cannot be had"; exit 77; }
  done
}
