#!/usr/bin/env bash
# What ./dev package made, installed elsewhere: the archive unpacked in an empty folder, moved, and in a bare Debian 12; the
# Debian packages in another one. There the examples and the command line run. As root, for the bare Debian.
set -euo pipefail
source=$1 packages=$2
. "$source/tests/packaging/installed_tree.sh"
sanitize=()
megabytes() { awk -v bytes="$(stat -L -c %s "$1")" 'BEGIN {printf "%.2f MB", bytes / 1e6}'; }
holds() { grep -E "$1" >/dev/null; }

# check_files FOLDER MOST_BYTES NEEDED: what must hold of each library and program below FOLDER.
check_files() {
  local folder=$1 most=$2 needed=$3 file core files
  core=$(find "$folder" -name 'libmono_quant.so.1')
  [ "$(stat -L -c %s "$core")" -lt "$most" ] || fail "$core: $(megabytes "$core")"
  mapfile -t files < <(find "$folder" -type f \( -name '*.so*' -o -name '*.a' -o -name monoquant -perm -u+x \))
  for file in "${files[@]}"; do
    if strings -a "$file" | holds "$source|/venv/|site-packages"; then fail "$file names a folder of this machine"; fi
    [ "${file%.a}" = "$file" ] || continue
    readelf -dW "$file" | holds 'BIND_NOW|FLAGS_1.*NOW' || fail "$file: relocations are made late"
    if readelf -dW "$file" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p' | grep -vE "^($needed)$"; then fail "$file needs too much"; fi
  done
  if nm -D --defined-only "$core" | awk '$2 != "A" {print $3}' | grep -v '^mnq_'; then fail "$core shows what is not its ABI"; fi
}
runpaths() { find "$1" -type f \( -name '*.so*' -o -name monoquant \) -exec readelf -dW {} \; 2>/dev/null |
  sed -nE 's/.*\((RUNPATH|RPATH)\).*\[(.*)\]/\2/p' | sort -u; }
runtimes='libstdc\+\+.so.6|libm.so.6|libgcc_s.so.1|libc.so.6|ld-linux-x86-64.so.2|libmono_quant.so.1|libtorch_cpu.so|libc10.so'

# bare NAME: a Debian 12 with nothing but what apt needs, in the folder NAME.
bare() {
  local kept=$packages/bare.tar
  [ -f "$kept" ] || {
    rm -rf "$work/bootstrap"
    debootstrap --variant=minbase bookworm "$work/bootstrap" >"$work/bootstrap.log" 2>&1 || { cat "$work/bootstrap.log" >&2; exit 1; }
    tar -C "$work/bootstrap" -cf "$kept" .
    rm -rf "$work/bootstrap"
  }
  mkdir "$work/$1"
  tar -C "$work/$1" -xf "$kept"
  cp /etc/resolv.conf "$work/$1/etc/resolv.conf"
  cp "$source"/tests/data/digits.safetensors "$work/$1/root/"
}
# The loader asks /proc where a program lies. It is mounted for this one alone.
inside() { # NAME SCRIPT
  unshare --mount sh -c 'mount -t proc proc "$1/proc" && exec chroot "$@"' sh "$work/$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    bash -euc "cd /root; $2" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "this failed in a bare Debian: $2"; }
}

check_archive() {
  local top
  mkdir -p "$work/unpacked"
  tar -xf "$packages"/mono_quant-*.tar.gz -C "$work/unpacked"
  mv "$work"/unpacked/mono_quant-* "$work/moved here"
  mv "$work/moved here" "$work/moved"
  prefix=$work/moved
  use_tree
  check_files "$prefix" 3000000 "$runtimes"
  [ "$(runpaths "$prefix")" = '$ORIGIN
$ORIGIN/../lib' ] || [ "$(runpaths "$prefix")" = '$ORIGIN/../lib' ] || fail "libraries are looked for in $(runpaths "$prefix")"
  check_documents "$prefix/share"
  for top in oneTBB zlib; do [ -f "$prefix/share/doc/mono_quant/licences/$top.txt" ] || fail "$top's licence is missing"; done
  check_pkg_config
  check_static
  check_find_package
  if [ -f "$libdir/libmono_quant_torch.so" ] && [ -n "${LIBTORCH:-}" ]; then LD_LIBRARY_PATH=$LIBTORCH check_modules; fi
  echo "archive: $(megabytes "$libdir/libmono_quant.so.1") with oneTBB and zlib inside; works where it was moved to"
}

check_archive_in_debian() {
  bare archive
  cp -r "$prefix" "$work/archive/root/mono_quant"
  cp "$work/quantize_static" "$work/archive/root/"
  inside archive 'mono_quant/bin/monoquant quantize digits.safetensors -b 4 -o out.safetensors
    mono_quant/bin/monoquant validate out.safetensors --against digits.safetensors
    ./quantize_static digits.safetensors out-int8.safetensors'
  echo "archive: the command line and a static program run in a Debian 12 where nothing was installed"
}

check_debs() {
  local deb
  mkdir "$work/deb_files"
  for deb in "$packages"/*.deb; do dpkg-deb -x "$deb" "$work/deb_files"; done
  check_files "$work/deb_files" 2000000 "$runtimes|libtbb.so.12|libz.so.1"
  [ -z "$(runpaths "$work/deb_files")" ] || fail "libraries are looked for in $(runpaths "$work/deb_files")"
  check_documents "$work/deb_files/usr/share"
  echo "debs: $(megabytes "$(find "$work/deb_files" -name libmono_quant.so.1)")"
}

# The examples as they are installed, each built as its README says: all print the same lines and write the same bytes.
check_debs_in_debian() {
  bare debs
  cp "$packages"/*.deb "$work/debs/root/"
  inside debs 'apt-get update -qq; apt-get install -qq -y --no-install-recommends ./libmono-quant1_*.deb'
  inside debs 'monoquant quantize digits.safetensors -o out.safetensors
    monoquant validate out.safetensors --against digits.safetensors'
  inside debs 'apt-get install -qq -y --no-install-recommends ./*.deb gcc libc6-dev pkg-config make
    cp -r /usr/share/doc/mono_quant/examples .; cd examples
    make -C c; c/tour ../digits.safetensors c.safetensors >c.txt
    make -C plugin; MONO_QUANT_LIBRARY=libmono_quant.so.1 plugin/tour ../digits.safetensors plugin.safetensors >plugin.txt
    cmp c.txt plugin.txt; cmp c.safetensors plugin.safetensors'
  inside debs 'apt-get install -qq -y --no-install-recommends libtbb-dev zlib1g-dev g++ cmake
    cd examples; cmake -S cpp -B built; cmake --build built
    built/tour ../digits.safetensors cpp.safetensors >cpp.txt
    cc -std=c99 c/tour.c -o static $(pkg-config --static --cflags --libs mono_quant | sed s/-lmono_quant/-l:libmono_quant.a/)
    ./static ../digits.safetensors static.safetensors >static.txt
    for other in cpp static; do cmp c.txt $other.txt; cmp c.safetensors $other.safetensors; done'
  inside debs 'apt-get purge -qq -y libmono-quant1
    test ! -e /usr/bin/monoquant; test ! -e /usr/include/mono_quant'
  echo "debs: installed in a bare Debian 12; C, C++, a plugin and a static program do the same there; purged"
}

# The wheel, where one was made.
check_wheel_in_debian() {
  [ -n "$(find "$packages" -maxdepth 1 -name '*.whl')" ] || return 0
  bare wheel
  cp "$packages"/*.whl "$work/wheel/root/"
  cp "$source/bindings-examples/python/example/tour.py" "$work/wheel/root/"
  inside wheel 'apt-get update -qq; apt-get install -qq -y --no-install-recommends python3-venv
    python3 -m venv venv; venv/bin/pip install -q --no-index ./*.whl
    venv/bin/python -m mono_quant quantize digits.safetensors -o out.safetensors
    venv/bin/python tour.py digits.safetensors out-tour.safetensors'
  echo "wheel: $(basename "$packages"/*.whl), $(megabytes "$packages"/*.whl); its command line and its example run in a bare Debian 12"
}

[ "$(id -u)" -eq 0 ] || fail "a bare Debian needs root"
work=$(mktemp -d "$packages/test.XXXXXX")
trap 'rm -rf "$work"' EXIT
check_archive
check_archive_in_debian
check_debs
check_debs_in_debian
check_wheel_in_debian
