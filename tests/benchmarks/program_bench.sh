#!/usr/bin/env bash
# The whole program against `cp` and the limits that were set for it. Usage: program_bench.sh BUILD
# Needs 8 GB of disk in BUILD/bench. Rounds are interleaved, so that a noisy neighbour meets both.
set -euo pipefail
build=$1
rounds=${ROUNDS:-9}
work=$build/bench
monoquant=$build/bin/monoquant
mkdir -p "$work"

# make_once FILE ARGS...: a checkpoint that stays for the next time
make_once() {
  local file=$work/$1
  shift
  [ -f "$file" ] || { "$build/bin/make_checkpoint" "$file.part" "$@" && mv "$file.part" "$file"; }
}
seconds_of() { "$build/bin/measure" "$@" | cut -d' ' -f1; }
peak_mib_of() { "$build/bin/measure" "$@" | awk '{print int($2 / 1024)}'; }
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
ratio() { awk "BEGIN {printf \"%.3f\n\", $1 / $2}"; }
row() { printf '%-68s %9s %9s\n' "$@"; }

make_once 1g.safetensors '4096x4096*8' '11008x4096*2' '2048x4096*5' '1024x2048'
make_once 90m.safetensors '384x384*72' '30522x384'
make_once 4g.safetensors --sparse 131072x4096 '4096x4096*32'
source=$work/1g.safetensors output=$work/out.safetensors copy=$work/copy

: >"$work/copies" >"$work/quantizes" >"$work/ratios"
cat "$source" >/dev/null
for ((i = 0; i < rounds; ++i)); do
  rm -f "$copy" "$output"
  copied=$(seconds_of sh -c 'cp "$1" "$2" && sync "$2"' sh "$source" "$copy")
  quantized=$(seconds_of "$monoquant" quantize "$source" -o "$output" --threads 2 --quiet)
  echo "$copied" >>"$work/copies"
  echo "$quantized" >>"$work/quantizes"
  ratio "$quantized" "$copied" >>"$work/ratios"
done
rm -f "$copy" "$output"

row "" measured bar
row "cp of 1 GiB and sync of the copy, median of $rounds, seconds" "$(median <"$work/copies")" ""
row "quantize of it to int8, SQNR and fsync included, seconds" "$(median <"$work/quantizes")" ""
row "  the second to the first in each round, median" "$(median <"$work/ratios")" "<= 0.7"
row "  the least of them" "$(sort -g "$work/ratios" | head -1)" ""

for ((i = 0; i < 21; ++i)); do seconds_of "$monoquant" info "$work/90m.safetensors"; done >"$work/infos"
row "info on a 90 MB file, whole process, median, seconds" "$(median <"$work/infos")" "<= 0.010"

# What a cold disk gives, and what is made of it. Without the right to drop the page cache it is warm, and says so.
"$monoquant" convert "$source" -o "$work/1g.pt" --quiet --force
"$monoquant" convert "$source" -o "$work/shards/" --format folder --max-shard-size 400MiB --quiet --force
drop_cache() { sync && { echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null; }
how=cold
drop_cache || how=warm
for what in 1g.pt shards; do
  : >"$work/ratios"
  for ((i = 0; i < rounds; ++i)); do
    rm -rf "$work/cold"*
    drop_cache || true
    # shellcheck disable=SC2016
    read_seconds=$(seconds_of sh -c 'find "$1" -type f -exec dd if={} of=/dev/null bs=1M status=none \;' sh "$work/$what")
    drop_cache || true
    made=$work/cold.safetensors
    [ "$what" = 1g.pt ] || made=$work/cold/
    ratio "$read_seconds" "$(seconds_of "$monoquant" quantize "$work/$what" -o "$made" --quiet)" >>"$work/ratios"
  done
  row "rate of quantize of $what ($how) to that of dd, median" "$(median <"$work/ratios")" ">= 0.95"
done
rm -rf "$work/1g.pt" "$work/shards" "$work/cold"*

for flags in "" "--per-tensor" "--bits 4"; do
  # shellcheck disable=SC2086
  peak=$(peak_mib_of "$monoquant" quantize "$work/4g.safetensors" -o "$output" --quiet --force $flags)
  row "peak memory, 4 GiB with one tensor of 2 GiB, MiB ${flags:-"(int8 per channel)"}" "$peak" "<= 300"
done
rm -f "$output"
