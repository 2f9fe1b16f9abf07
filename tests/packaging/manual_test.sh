#!/usr/bin/env bash
# The man page and the completions say what the command line says; man shows the page without complaint, and each shell that is
# there completes commands, flags, values and settings.
set -euo pipefail
source=$1 build=$2
manual=$source/src/cli/manual
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
[ -x "$build/bin/monoquant" ] || { echo "skipped: monoquant was not built"; exit 77; }
fail() { echo "$*" >&2; exit 1; }

python3 "$manual/make_manual.py" "$build/bin/monoquant" --check

# The check sees a flag that is missing, and a setting.
work=$build/manual_test
rm -rf "$work"
mkdir -p "$work"
cp "$manual"/* "$work"
sed -i 's/--per-tensor //' "$work/monoquant.bash"
if python3 "$work/make_manual.py" "$build/bin/monoquant" --check 2>/dev/null; then fail "a missing flag goes unseen"; fi
python3 "$work/make_manual.py" "$build/bin/monoquant"
cmp "$manual/monoquant.bash" "$work/monoquant.bash"

if command -v man >/dev/null; then
  complaints=$(MANWIDTH=80 man -l --warnings -E UTF-8 "$manual/monoquant.1" 2>&1 >"$work/page")
  [ -z "$complaints" ] || fail "man: $complaints"
  grep -q 'monoquant quantize \[OPTIONS\] IN' "$work/page" || fail "man shows no synopsis"
fi

# same SHELL EXPECTED ACTUAL: words, in any order.
same() {
  [ "$(tr ' ' '\n' <<<"$2" | sort)" = "$(tr ' ' '\n' <<<"$3" | sort)" ] || fail "$1: expected '$2', got '$3'"
}

bash_completes() {
  bash -c '. "$1"; shift; COMP_WORDS=(monoquant "$@"); COMP_CWORD=$#; _monoquant; echo "${COMPREPLY[*]}"' \
    bash "$manual/monoquant.bash" "$@"
}
same bash "compare convert" "$(bash_completes co)"
same bash "--per-tensor" "$(bash_completes quantize --per-t)"
same bash "" "$(bash_completes info --per-t)"
same bash "2 3 4 5 6 7 8 16" "$(bash_completes quantize model -b '')"
same bash "error copy" "$(bash_completes quantize --set nonfinite =)"
same bash "copy" "$(bash_completes quantize --layer '*' nonfinite = c)"
same bash "group_size=" "$(bash_completes quantize --layer '*' grou)"
same bash "minmax" "$(bash_completes quantize --method = m)"
same bash "bfloat16 float16 float32" "$(bash_completes dequantize model -d '')"
same bash "bfloat16" "$(bash_completes dequantize --dtype = b)"
same bash "bfloat16" "$(bash_completes quantize --dtype b)"

if command -v fish >/dev/null; then
  fish_completes() {
    HOME=$work fish -N -c "source $manual/monoquant.fish; complete -C 'monoquant $*'" | cut -f1 | tr '\n' ' ' | sed 's/ $//'
  }
  same fish "compare convert" "$(fish_completes co)"
  same fish "--per-tensor" "$(fish_completes quantize --per-t)"
  same fish "2 3 4 5 6 7 8 16" "$(fish_completes "quantize model -b ")"
  same fish "nonfinite=error nonfinite=copy" "$(fish_completes quantize --set nonf)"
  same fish "bfloat16 float16 float32" "$(fish_completes "dequantize --dtype ")"
fi

if command -v zsh >/dev/null; then
  # zsh_completes TEXT LINE: at a terminal, a tab behind the text makes it the line. One that does not come is waited for.
  zsh_completes() {
    timeout 60 zsh -f -c 'zmodload zsh/zpty; zpty shell "PS1=\"> \" zsh -f -i"
      zpty -w shell "autoload -Uz compinit; compinit -u -D; source $1; PS1=RE\"\"ADY"
      zpty -r shell seen "*READY*"
      zpty -w -n shell "$2"$'"'\t'"'
      zpty -r shell seen "*$3*"' zsh "$manual/monoquant.zsh" "$1" "$2" || fail "zsh does not make '$1' '$2'"
  }
  zsh_completes 'monoquant quantize --per-t' 'quantize --per-tensor'
  zsh_completes 'monoquant quantize --method s' '--method search'
  zsh_completes 'monoquant quantize --set nonfinite=c' 'nonfinite=copy'
  zsh_completes 'monoquant dequantize --dtype b' '--dtype bfloat16'
fi
