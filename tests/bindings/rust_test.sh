#!/usr/bin/env bash
# bindings-examples/rust: its own tests, those of closures that panic among them; no warning comes of it or of its
# documentation; what its README says runs; its tour is C's. Nothing comes from a registry.
set -euo pipefail
source=$1 build=$2
. "$source/tests/bindings/language.sh"
need_tools cargo make cc pkg-config
install_library
copy_examples rust
cd "$work/rust"
export CARGO_TARGET_DIR=$build/bindings/rust-target RUSTDOCFLAGS="-D warnings" RUSTFLAGS="-D warnings"
run() { "$@" >"$work/cargo.log" 2>&1 || { cat "$work/cargo.log" >&2; fail "failed: $*"; }; }
run cargo test --offline --locked --workspace
! cargo clippy --version >/dev/null 2>&1 || run cargo clippy --offline --locked --workspace --all-targets
run cargo doc --offline --locked --no-deps
run cargo build --offline --locked --examples
run_readme
compare_with_c "$CARGO_TARGET_DIR/debug/examples/tour"
