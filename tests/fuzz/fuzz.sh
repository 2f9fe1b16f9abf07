#!/usr/bin/env bash
# fuzz.sh BUILD [SECONDS] [TARGET...]: runs each target, a minute unless said, all targets unless named.
# fuzz.sh BUILD --reach: which functions of src the targets reach from what they learned (BUILD was made for that).
# What a target finds stays in build-fuzz/ as crash-*, timeout-* and oom-*, what it learns in build-fuzz/corpus/TARGET.
set -euo pipefail
build=$1
shift
targets=(memory torchscript folder plan)
here=$(dirname "$0")
corpus=build-fuzz/corpus

# Folders are made in memory where that can be.
scratch=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch ASAN_OPTIONS=malloc_context_size=8:quarantine_size_mb=32

# What a target starts from.
seeds_of() { [ "$1" = memory ] && echo tests/data || echo build-fuzz/seeds/"$1"; }

run_target() {
  mkdir -p "$corpus/$1"
  "$build/bin/$1_fuzz" -max_total_time="$2" -max_len=65536 -malloc_limit_mb=300 -rss_limit_mb=2048 -timeout=10 \
    -dict="$here/fuzz.dict" -print_final_stats=1 -artifact_prefix="build-fuzz/$1-" "$corpus/$1" "$(seeds_of "$1")"
}

run_targets() {
  local seconds=60 target failed=0
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
  fi
  [ $# -gt 0 ] || set -- "${targets[@]}"
  for target in "$@"; do
    [[ " ${targets[*]} " == *" $target "* ]] || { echo "fuzz: '$target' is none of ${targets[*]}" >&2 && exit 2; }
    printf '\n%s, %s seconds\n' "$target" "$seconds"
    run_target "$target" "$seconds" || failed=1
  done
  return $failed
}

reach() {
  local target
  for target in "${targets[@]}"; do
    mkdir -p "$corpus/$target"
    LLVM_PROFILE_FILE=$build/$target.profraw "$build/bin/${target}_fuzz" -runs=0 -timeout=60 "$corpus/$target" \
      "$(seeds_of "$target")" >"$build/$target.log" 2>&1
    llvm-profdata-16 merge -sparse "$build/$target.profraw" -o "$build/$target.profdata"
    llvm-cov-16 export "$build/bin/${target}_fuzz" -instr-profile="$build/$target.profdata" >"$build/$target.json"
  done
  python3 "$here/reach.py" "$build" "${targets[@]}"
}

python3 "$here/make_seeds.py" build-fuzz/seeds
if [ "${1:-}" = --reach ]; then reach; else run_targets "$@"; fi
