# For test scripts that need Python packages: sourced. Sets python to one that has torch, and cache to a folder that stays.
# What cannot be had makes the test a skipped one.
cache=$source/build/cache/models
mkdir -p "$cache"

has_torch() { "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; }
for python in "$source/build/venv/bin/python" python3 none; do
  [ "$python" = none ] && { echo "skipped: no Python here has torch"; exit 77; }
  has_torch "$python" && break
done

# fetch FOLDER PIP-ARGUMENT...: installs packages into a folder of the cache, whole or not at all.
fetch() {
  local folder=$cache/$1
  shift
  [ -d "$folder" ] && return
  rm -rf "$folder.part"
  "$python" -m pip install --quiet --disable-pip-version-check --retries 1 --target "$folder.part" "$@" || {
    echo "skipped: $* cannot be had"
    exit 77
  }
  mv "$folder.part" "$folder"
}
