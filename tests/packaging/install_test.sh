#!/usr/bin/env bash
# The installed tree, moved to another place: the C example through pkg-config, shared and static, a C++ program through
# find_package, the command line, and what each component holds.
set -euo pipefail
source=$1 build=$2
. "$source/tests/packaging/installed_tree.sh"
work=$build/install_test
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
prefix=$work/moved

sanitize=()
if readelf -d "$build/lib/libmono_quant.so.1" | grep -q libasan; then sanitize=(-fsanitize=address,undefined); fi

use_tree
check_pkg_config
check_static
check_modules
check_find_package
check_documents "$prefix/share"

# Each file is of one component. What core has is enough to work at a terminal.
list() { (cd "$1" && find . -type f -o -type l | sort); }
for component in core torch dev; do
  cmake --install "$build" --prefix "$work/$component" --component "$component" >/dev/null
  [ ! -d "$work/$component" ] || list "$work/$component"
done >"$work/components"
list "$prefix" | diff - <(sort "$work/components") || fail "the components are not the whole"
"$work/core/bin/monoquant" quantize "$model" -o "$work/core.safetensors" >/dev/null
if list "$work/core" | grep -E '/include/|\.(so|a|pc|cmake)$'; then fail "core has what is for developers"; fi
if list "$work/dev" | grep -E '/bin/|\.so\.[0-9]'; then fail "dev has what is for all"; fi

# The same program where the project is a part of another: no LibTorch, no command line, the headers under their own folder.
mkdir "$work/parent"
cat >"$work/parent/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(parent CXX)
set(CMAKE_CXX_STANDARD 20)
include(FetchContent)
FetchContent_Declare(mono_quant SOURCE_DIR $source)
FetchContent_MakeAvailable(mono_quant)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE mono_quant::mono_quant)
add_executable(consumer_static main.cpp)
target_link_libraries(consumer_static PRIVATE mono_quant::mono_quant_static)
END
cp "$work/consumer/main.cpp" "$work/parent/"
cmake -G Ninja -S "$work/parent" -B "$work/parent/build" -DBUILD_SHARED_LIBS=OFF >/dev/null
grep -q '^MONO_QUANT_TORCH:BOOL=OFF' "$work/parent/build/CMakeCache.txt"
grep -q '^MONO_QUANT_CLI:BOOL=OFF' "$work/parent/build/CMakeCache.txt"
ninja -C "$work/parent/build" -n consumer consumer_static >/dev/null
find "$work/parent/build" -path '*/include/mono_quant/mono_quant.hpp' | sed 's|/mono_quant/mono_quant.hpp$||' >"$work/headers"
echo '#include <mono_quant/mono_quant.hpp>' | c++ -std=c++20 -fsyntax-only -x c++ - -I"$(cat "$work/headers")"
