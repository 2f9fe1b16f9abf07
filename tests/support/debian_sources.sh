# Sources of Debian's packages, for what ./dev builds of them in its own way, and packages for other machines: sourced.

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

# unpack_packages ARCHITECTURE FOLDER PACKAGE...: what those packages hold, in FOLDER, whole or not at all. The system's list of
# what is installed knows nothing of it.
unpack_packages() {
  local architecture=$1 folder=$2 work=$2.part file options
  shift 2
  rm -rf "$work"
  mkdir -p "$work/lists/partial" "$work/root"
  options=(-o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o "Dir::State::Lists=$work/lists")
  quietly "apt-get update" apt-get "${options[@]}" update
  (cd "$work" && quietly "apt-get download" apt-get "${options[@]}" download "$@")
  for file in "$work"/*.deb; do dpkg-deb -x "$file" "$work/root"; done
  # One folder of libraries, as in an installed Debian; and links from the root of that system.
  cp -a "$work"/root/lib/. "$work/root/usr/lib/"
  rm -r "$work/root/lib"
  ln -s usr/lib "$work/root/lib"
  find "$work/root" -type l -lname '/*' -printf '%p %l\n' | while read -r file target; do
    ln -sfn "$folder$target" "$file"
  done
  mv "$work/root" "$folder"
  rm -rf "$work"
}
