# What the tests of bindings-examples share: sourced with the source and the build folder as arguments, set as source and
# build. Each test works in a folder of its own, on copies, with the library installed there:
#   language  the test's name, and the folder's in bindings-examples
#   work      its folder, empty
#   prefix    where the library is installed; PKG_CONFIG_PATH, MONO_QUANT_DIR and MONO_QUANT_LIBRARY say so to programs
#   data      tests/data
language=$(basename "$0" _test.sh)
work=$build/bindings/$language prefix=$build/bindings/$language/prefix data=$source/tests/data

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "$*" >&2; exit 1; }

# need_tools TOOL...: the test is for machines that have them.
need_tools() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "there is no $tool (./dev languages installs it)"
  done
}

install_library() {
  rm -rf "$work"
  mkdir -p "$work"
  # The copies' own tests look for their data where the tree has it.
  [ -e "$build/bindings/tests" ] || ln -sT "$source/tests" "$build/bindings/tests" || [ -e "$build/bindings/tests" ]
  cmake --install "$build" --prefix "$prefix" >/dev/null
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name mono_quant.pc)")
  export PKG_CONFIG_PATH
  MONO_QUANT_LIBRARY=$(pkg-config --variable=libdir mono_quant)/libmono_quant.so.1
  export MONO_QUANT_LIBRARY MONO_QUANT_DIR=$prefix
}

# copy_examples FOLDER...: as the tree has them, into the test's folder.
copy_examples() {
  local folder
  for folder in "$@"; do cp -r "$source/bindings-examples/$folder" "$work/"; done
}

# run_readme: what the folder's README shows at a terminal, in its order, in a clone that is built: $work/clone.
run_readme() {
  local clone=$work/clone folder
  mkdir -p "$clone/bindings-examples"
  ln -s "$build" "$clone/build"
  cp "$source/LICENSE" "$clone/"
  for folder in c "$language"; do
    [ -d "$clone/bindings-examples/$folder" ] || cp -r "$source/bindings-examples/$folder" "$clone/bindings-examples/"
  done
  cp "$data/digits.safetensors" "$clone/model.safetensors"
  awk '/^```/ {fenced = !fenced; inside = fenced && $0 == "```"; next} inside' "$source/bindings-examples/$language/README.md" |
    sed "/^\.\/dev build$/d; s|\bPREFIX\b|$prefix|g" >"$clone/commands"
  (cd "$clone" && bash -eux commands) >"$work/readme.log" 2>&1 || { cat "$work/readme.log" >&2; fail "the README's commands fail"; }
}

# The arguments of each run of a tour; the inputs have absolute names, the outputs lie in the folder of the run.
tours() {
  cat <<END
$data/digits.safetensors int8.safetensors --digits $data/digits_scripted.pt $data/digits_test.safetensors
$data/digits.safetensors int4.safetensors bits=4 group_size=128 call:threads=1
$data/digits.safetensors folder/ bits=4 symmetric=false
$data/digits.safetensors out.gguf call:bits=4 call:group_size=32
$data/digits.safetensors out.pt dtype=float16
$data/digits.safetensors copy.safetensors only=none
$data/digits.safetensors linear.safetensors bits=4 symmetric=false group_size=32 only=fc*
$data/gguf_types.gguf floats.safetensors
$data/modules/state_dict.pt größe.safetensors
$data/digits.safetensors nothing.safetensors bitz=4
$data/digits.safetensors nothing.safetensors bits=4 call:bitz=4
$data/digits.safetensors nothing.safetensors dtype=quint8 call:bits=4
$data/missing.safetensors nothing.safetensors
$data/digits.safetensors nothing.safetensors bits
$data/digits.safetensors
END
  [ -z "${MONO_QUANT_CHECKPOINT:-}" ] || cat <<END
$MONO_QUANT_CHECKPOINT large8.safetensors
$MONO_QUANT_CHECKPOINT large4.safetensors bits=4 group_size=128
END
}

# run_tour FOLDER ARGUMENTS PROGRAM...: what it printed and wrote, and its exit code, are in the folder.
run_tour() {
  local folder=$1 arguments=$2 code=0
  shift 2
  mkdir -p "$folder"
  # shellcheck disable=SC2086
  (cd "$folder" && "$@" $arguments >stdout 2>stderr) || code=$?
  echo "$code" >"$folder/exit_code"
}

# compare_with_c PROGRAM...: it prints and writes in all tours what the program of C does.
compare_with_c() {
  local arguments number=0
  [ -d "$work/c" ] || copy_examples c
  make -s -C "$work/c" tour
  while IFS= read -r arguments; do
    number=$((number + 1))
    run_tour "$work/runs/$number/c" "$arguments" "$work/c/tour"
    run_tour "$work/runs/$number/$language" "$arguments" "$@"
    diff -r "$work/runs/$number/c" "$work/runs/$number/$language" || fail "$language and C differ in: tour $arguments"
  done < <(tours)
  echo "$number tours give the lines and the bytes of C's"
}
