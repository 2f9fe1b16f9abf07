# What holds of an installed tree wherever it lies: sourced, with source, prefix (the tree), work (an empty folder) and
# sanitize (flags, mostly none) set.

fail() { echo "$*" >&2; exit 1; }

use_tree() {
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name mono_quant.pc)")
  export PKG_CONFIG_PATH
  libdir=$(pkg-config --variable=libdir mono_quant)
  model=$source/tests/data/digits.safetensors
}

# check_program PROGRAM: quantize.c's, whose output the command line finds to be right.
check_program() {
  rm -f "$work/out.safetensors"
  "$1" "$model" "$work/out.safetensors" >"$work/out.txt" 2>/dev/null
  grep -q ' dB$' "$work/out.txt"
  grep -qE '^[0-9]+ bytes became [0-9]+$' "$work/out.txt"
  "$prefix/bin/monoquant" validate "$work/out.safetensors" --against "$model" >/dev/null
}

# compile_c SOURCE PROGRAM FLAG...
compile_c() {
  local file=$1 program=$2
  shift 2
  cc -std=c99 -pedantic -Wall -Wextra -Werror "${sanitize[@]}" "$file" -o "$program" "$@"
}

check_pkg_config() {
  [ "$(pkg-config --modversion mono_quant)" = "$("$prefix/bin/monoquant" --version | sed 's/.* //')" ]
  grep -q '^URL: .' "$PKG_CONFIG_PATH/mono_quant.pc"
  # shellcheck disable=SC2046
  compile_c "$source/bindings-examples/c/quantize.c" "$work/quantize" $(pkg-config --cflags --libs mono_quant) \
    -Wl,-rpath,"$libdir"
  check_program "$work/quantize"
}

# The static library, where it is there: what it needs is what pkg-config says.
check_static() {
  [ -f "$libdir/libmono_quant.a" ] || return 0
  # shellcheck disable=SC2046
  compile_c "$source/bindings-examples/c/quantize.c" "$work/quantize_static" \
    $(pkg-config --static --cflags --libs mono_quant | sed 's/-lmono_quant/-l:libmono_quant.a/')
  if readelf -d "$work/quantize_static" | grep -q libmono_quant; then fail "the static program needs the shared library"; fi
  check_program "$work/quantize_static"
  nm -g --defined-only "$libdir/libmono_quant.a" | sed -nE 's/^[0-9a-f]+ [A-Za-z] //p' | sort >"$work/static_names"
  nm -D --defined-only "$libdir/libmono_quant.so.1" | sed -nE 's/^[0-9a-f]+ [BDTRVW] (.*)@@.*/\1/p' | sort >"$work/shared_names"
  diff "$work/static_names" "$work/shared_names" || fail "the static library shows other names than the shared one"
}

# Modules, with the backend that was installed beside the library.
check_modules() {
  [ -f "$libdir/libmono_quant_torch.so" ] || return 0
  # shellcheck disable=SC2046
  compile_c "$source/bindings-examples/c/classify.c" "$work/classify" $(pkg-config --cflags --libs mono_quant) \
    -Wl,-rpath,"$libdir"
  for form in scripted traced; do
    "$work/classify" "$source/tests/data/digits_$form.pt" "$source/tests/data/digits_test.safetensors" "$work" >"$work/$form.txt"
    # Of 449 images; int8 may lose one.
    awk '{right[$1] = $2} END {exit !(right["float32"] >= 440 && right["int8"] >= right["float32"] - 1 && right["int4"] >= 430)}' \
      "$work/$form.txt" || { cat "$work/$form.txt" >&2; exit 1; }
  done
}

# find_package sets nothing of the caller's, refuses what is not there, and gives the targets.
check_find_package() {
  mkdir "$work/consumer"
  cat >"$work/consumer/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(consumer C CXX)
set(CMAKE_CXX_STANDARD 20)
set(PACKAGE_VERSION mine)
set(PACKAGE_VERSION_COMPATIBLE mine)
set(PACKAGE_PREFIX_DIR mine)
get_cmake_property(before VARIABLES)
find_package(mono_quant 1.0 REQUIRED COMPONENTS core)
get_cmake_property(after VARIABLES)
foreach(name PACKAGE_VERSION PACKAGE_VERSION_COMPATIBLE PACKAGE_PREFIX_DIR)
  if(NOT ${name} STREQUAL mine)
    message(FATAL_ERROR "find_package(mono_quant) changed ${name} to '${${name}}'")
  endif()
endforeach()
list(REMOVE_ITEM after ${before} before)
list(FILTER after EXCLUDE REGEX "^(mono_quant_|MONO_QUANT_|FIND_PACKAGE_MESSAGE_DETAILS_|_CMAKE|CMAKE_)")
if(after)
  message(FATAL_ERROR "find_package(mono_quant) set ${after}")
endif()
find_package(mono_quant QUIET COMPONENTS core nonsense)
if(mono_quant_FOUND)
  message(FATAL_ERROR "find_package(mono_quant) found a component that is none")
endif()
find_package(mono_quant 1.0 REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE mono_quant::mono_quant)
if(TARGET mono_quant::mono_quant_static)
  add_executable(consumer_static main.cpp)
  target_link_libraries(consumer_static PRIVATE mono_quant::mono_quant_static)
endif()
END
  cat >"$work/consumer/main.cpp" <<'END'
#include <mono_quant/mono_quant.hpp>

int main(int, char** arguments) {
  const auto result = mono_quant::quantize(mono_quant::Model::open(arguments[1]));
  return result.report.number("sqnr_db").value_or(0) > 30 ? 0 : 1;
}
END
  cmake -G Ninja -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS="${sanitize[*]}" >/dev/null
  cmake --build "$work/consumer/build" >/dev/null
  "$work/consumer/build/consumer" "$model"
  [ ! -f "$libdir/libmono_quant.a" ] || "$work/consumer/build/consumer_static" "$model"
}

# check_documents SHARE: its share folder has what people read, and what their shells and bindings do.
check_documents() {
  local file
  for file in doc/mono_quant/{LICENSE,README.md,report.md,licences/fmt.txt,licences/nlohmann-json.txt,licences/CLI11.txt} \
    doc/mono_quant/examples/c/{README.md,Makefile,quantize.c,classify.c,tour.c} mono_quant/abi.json bash-completion/completions/monoquant \
    fish/vendor_completions.d/monoquant.fish; do
    [ -f "$1/$file" ] || fail "$file is not installed"
  done
  [ -f "$1/man/man1/monoquant.1" ] || [ -f "$1/man/man1/monoquant.1.gz" ] || fail "the man page is not installed"
  [ -f "$1/zsh/site-functions/_monoquant" ] || [ -f "$1/zsh/vendor-completions/_monoquant" ] || fail "zsh gets nothing"
}
