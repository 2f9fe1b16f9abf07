#!/usr/bin/env bash
# The installed tree, moved to another place: the C example through pkg-config, a C++ program through find_package, and the
# command line that was installed.
set -euo pipefail
source=$1 build=$2
work=$build/install_test
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
prefix=$work/moved

sanitize=()
if readelf -d "$build/lib/libmono_quant.so.1" | grep -q libasan; then sanitize=(-fsanitize=address,undefined); fi

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name mono_quant.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir mono_quant)
[ "$(pkg-config --modversion mono_quant)" = "$("$prefix/bin/monoquant" --version | sed 's/.* //')" ]

model=$source/tests/data/digits.safetensors
# shellcheck disable=SC2046
cc -std=c99 -pedantic -Wall -Wextra -Werror "${sanitize[@]}" "$source/bindings-examples/c/quantize.c" -o "$work/quantize" \
  $(pkg-config --cflags --libs mono_quant) -Wl,-rpath,"$libdir"
"$work/quantize" "$model" "$work/out.safetensors" >"$work/out.txt" 2>/dev/null
grep -q ' dB$' "$work/out.txt"
grep -qE '^[0-9]+ bytes became [0-9]+$' "$work/out.txt"
"$prefix/bin/monoquant" validate "$work/out.safetensors" --against "$model" >/dev/null

# Modules, with the backend that was installed beside the library.
if [ -f "$libdir/libmono_quant_torch.so" ]; then
  # shellcheck disable=SC2046
  cc -std=c99 -pedantic -Wall -Wextra -Werror "${sanitize[@]}" "$source/bindings-examples/c/classify.c" -o "$work/classify" \
    $(pkg-config --cflags --libs mono_quant) -Wl,-rpath,"$libdir"
  for form in scripted traced; do
    "$work/classify" "$source/tests/data/digits_$form.pt" "$source/tests/data/digits_test.safetensors" "$work" >"$work/$form.txt"
    # Of 449 images; int8 may lose one.
    awk '{right[$1] = $2} END {exit !(right["float32"] >= 440 && right["int8"] >= right["float32"] - 1 && right["int4"] >= 430)}' \
      "$work/$form.txt" || { cat "$work/$form.txt" >&2; exit 1; }
  done
fi

mkdir "$work/consumer"
cat >"$work/consumer/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(consumer CXX)
set(CMAKE_CXX_STANDARD 20)
set(PACKAGE_VERSION mine)
set(PACKAGE_VERSION_COMPATIBLE mine)
set(PACKAGE_PREFIX_DIR mine)
find_package(mono_quant 1.0 REQUIRED COMPONENTS core)
foreach(name PACKAGE_VERSION PACKAGE_VERSION_COMPATIBLE PACKAGE_PREFIX_DIR)
  if(NOT ${name} STREQUAL mine)
    message(FATAL_ERROR "find_package(mono_quant) changed ${name} to '${${name}}'")
  endif()
endforeach()
find_package(mono_quant QUIET COMPONENTS core nonsense)
if(mono_quant_FOUND)
  message(FATAL_ERROR "find_package(mono_quant) found a component that is none")
endif()
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE mono_quant::mono_quant)
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

# The same program where the project is a part of another: no LibTorch, no command line, the headers under their own folder.
mkdir "$work/parent"
sed "s|^find_package(mono_quant 1.0.*|add_subdirectory($source mono_quant)|; /^set(PACKAGE/d; /^foreach/,/^endforeach/d; \
  /^find_package(mono_quant QUIET/,/^endif/d" "$work/consumer/CMakeLists.txt" >"$work/parent/CMakeLists.txt"
cp "$work/consumer/main.cpp" "$work/parent/"
cmake -G Ninja -S "$work/parent" -B "$work/parent/build" >/dev/null
grep -q '^MONO_QUANT_TORCH:BOOL=OFF' "$work/parent/build/CMakeCache.txt"
grep -q '^MONO_QUANT_CLI:BOOL=OFF' "$work/parent/build/CMakeCache.txt"
ninja -C "$work/parent/build" -n consumer >/dev/null
echo '#include <mono_quant/mono_quant.hpp>' | c++ -std=c++20 -fsyntax-only -x c++ - -I"$work/parent/build/mono_quant/include"
test -f "$prefix/share/doc/mono_quant/report.md"
test -f "$prefix/share/mono_quant/abi.json"
