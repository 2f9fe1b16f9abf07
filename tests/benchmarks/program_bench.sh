#!/usr/bin/env bash
# The whole program against `cp` and the limits that were set for it. Usage: program_bench.sh BUILD
# Needs 8 GB of disk in BUILD/bench. Rounds are interleaved, so that a noisy neighbour meets both.
set -euo pipefail
build=$1
rounds=${ROUNDS:-9}
work=$build/bench
mkdir -p "$work"
monoquant=$build/bin/monoquant
make=$build/bin/make_checkpoint

now() { date +%s.%N; }
timed() { # COMMAND...: seconds
  local start
  start=$(now)
  "$@" >/dev/null
  echo "$(now) - $start" | bc -l 2>/dev/null || awk "BEGIN {print $(now) - $start}"
}
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
copy_and_sync() { cp "$1" "$2" && sync "$2"; }
row() { printf '%-58s %12s %12s\n' "$@"; }

[ -f "$work/1g.safetensors" ] || "$make" "$work/1g.safetensors" '4096x4096*8' '11008x4096*2' '2048x4096*5'
[ -f "$work/90m.safetensors" ] || "$make" "$work/90m.safetensors" '384x384*104' '30522x384'
[ -f "$work/4g.safetensors" ] || "$make" sparse "$work/4g.safetensors" 131072x4096 '4096x4096*32'
cat "$work/1g.safetensors" >/dev/null

: >"$work/ratios"
: >"$work/copies"
: >"$work/quantizes"
for ((i = 0; i < rounds; ++i)); do
  rm -f "$work/copy" "$work/out.safetensors"
  copy=$(timed copy_and_sync "$work/1g.safetensors" "$work/copy")
  quantize=$(timed "$monoquant" quantize "$work/1g.safetensors" -o "$work/out.safetensors" --threads 2 --quiet)
  echo "$copy" >>"$work/copies"
  echo "$quantize" >>"$work/quantizes"
  awk "BEGIN {print $quantize / $copy}" >>"$work/ratios"
done
rm -f "$work/copy" "$work/out.safetensors"

row "" measured bar
row "cp of 1 GiB and sync of the copy, median seconds" "$(median <"$work/copies")" ""
row "quantize of it to int8, SQNR and fsync included, median" "$(median <"$work/quantizes")" ""
row "  ratio of the two in each round, median" "$(median <"$work/ratios")" "<= 0.7"

info() { "$monoquant" info "$work/90m.safetensors" --json; }
for ((i = 0; i < 21; ++i)); do timed info; done | median >"$work/info"
row "info on a 90 MB file, whole process, median seconds" "$(cat "$work/info")" "<= 0.010"

memory_of() { # ARGS...: peak resident KiB
  python3 - "$monoquant" quantize "$work/4g.safetensors" -o "$work/out.safetensors" --quiet --force "$@" <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
END
}
for flags in "" "--per-tensor" "--bits 4"; do
  # shellcheck disable=SC2086
  row "peak memory, 4 GiB with one tensor of 2 GiB, MiB $flags" "$(($(memory_of $flags) / 1024))" "<= 300"
done
rm -f "$work/out.safetensors"
