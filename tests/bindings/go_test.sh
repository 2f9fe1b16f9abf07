#!/usr/bin/env bash
# bindings-examples/go: its own tests under the race detector and with every pointer checked, those of callbacks that
# panic among them; vet finds nothing; what its README says runs; its tour is C's. Nothing comes from a registry.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools go gofmt make cc pkg-config
install_library
copy_examples go
cd "$work/go"
LD_LIBRARY_PATH=$(dirname "$MONO_QUANT_LIBRARY")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH GOCACHE=$build/bindings/go-cache GOFLAGS=-mod=mod GOPROXY=off
run() { "$@" >"$work/go.log" 2>&1 || { cat "$work/go.log" >&2; fail "failed: $*"; }; }
[ -z "$(gofmt -l .)" ] || fail "gofmt would change $(gofmt -l .)"
run go vet ./...
run env GODEBUG=cgocheck=2 go test -race ./...
run go build -o tour ./cmd/tour
run_readme
compare_with_c "$work/go/tour"
