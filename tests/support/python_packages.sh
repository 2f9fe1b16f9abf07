# Packages of Python's registry, for ./dev and the test scripts: sourced, with source set to this repository. Each list in
# tests/packages names all that it needs, with versions and hashes, and pip takes nothing else.

# install_packages PYTHON LIST [PIP-ARGUMENT...]
install_packages() {
  local python=$1 list=$2
  shift 2
  "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || {
    echo "tests/packages is for Python 3.11 to 3.14, and $python is $("$python" --version 2>&1)" >&2
    return 1
  }
  "$python" -m pip install --quiet --disable-pip-version-check --retries 1 --no-deps --require-hashes \
    --only-binary :all: -r "$source/tests/packages/$list.txt" "$@"
}

# install_torch PYTHON: without CUDA where pip knows of such a wheel, else as the registry has it.
install_torch() {
  install_packages "$1" torch_needs && { install_packages "$1" torch_cpu 2>/dev/null || install_packages "$1" torch_cuda; }
}

# fetch_packages PYTHON LIST CACHE: CACHE/LIST holds the list's packages, whole or not at all.
fetch_packages() {
  local folder=$3/$2
  cmp -s "$source/tests/packages/$2.txt" "$folder/packages.txt" && return
  rm -rf "$folder" "$folder.part"
  install_packages "$1" "$2" --target "$folder.part" && cp "$source/tests/packages/$2.txt" "$folder.part/packages.txt" &&
    mv "$folder.part" "$folder"
}
