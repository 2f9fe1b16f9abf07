# Sources of Debian's packages, for what ./dev builds of them in its own way: sourced.

# Prints apt's options for the system's own package sources, asked for sources; their lists lie in FOLDER.
source_lists() {
  local folder=$1 file
  mkdir -p "$folder/parts" "$folder/lists/partial"
  for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || sed 's/^Types: *deb$/Types: deb-src/' "$file" >"$folder/parts/${file##*/}"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$file" ] || sed -n 's/^deb /deb-src /p' "$file" >"$folder/parts/${file##*/}.list"
  done
  printf '%s\n' -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/parts" -o "Dir::State::Lists=$folder/lists"
}

# fetch_sources FOLDER PACKAGE...: the sources of each, with Debian's changes, in FOLDER/PACKAGE-VERSION.
fetch_sources() {
  local folder=$1 options=()
  shift
  mkdir -p "$folder"
  mapfile -t options < <(source_lists "$folder/apt")
  quietly "apt-get update" apt-get "${options[@]}" update
  (cd "$folder" && quietly "apt-get source" apt-get "${options[@]}" source "$@")
}
