#!/usr/bin/env bash
# Checks the codec with every set of features, for wasm32 and for a target without std.
#
# Needs any stable Rust, and the compiler of tests/rust_1_85.sh with the sources of its standard library. The first run
# builds `core` and `alloc` for each target.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=tests/rust_1_85.sh
source tests/rust_1_85.sh
began=$SECONDS

step() {
  printf '\n[%3d s] %s\n' $((SECONDS - began)) "$1"
}

step "every set of features, this compiler"
# Proves that no feature needs another one without naming it. A check of the library ignores dev-dependencies.
cargo hack --version >/dev/null 2>&1 || cargo install cargo-hack --locked
cargo hack check -p tidings-codec --lib --feature-powerset --quiet

step "the standard library's names since 1.85, by clippy"
# Finds calls of functions that are newer than `rust-version`, in this crate only, and only if clippy knows the version.
cargo clippy -p tidings-codec --lib --all-features --quiet -- -D clippy::incompatible_msrv

step "Rust 1.85 from Debian"
install_rust_1_85

# `core` and `alloc` are built from their sources, without any other library. A use of `std` anywhere fails, also in a
# dependency. This proves that the codec compiles, not that it runs: nothing is linked, because there is no program.
# RUSTC_BOOTSTRAP lets a stable cargo build a standard library.
for target in thumbv7m-none-eabi wasm32-unknown-unknown; do
  for features in "" bytes,stream,json; do
    step "$target with core and alloc alone, features: ${features:-none}"
    RUSTC_BOOTSTRAP=1 cargo_1_85 check -p tidings-codec --lib --no-default-features --features "$features" \
      -Zbuild-std=core,alloc --target "$target" --quiet
  done
done

step "that a use of std would have been found"
# A check that cannot fail proves nothing: `http-body` needs `http`, which needs std.
if RUSTC_BOOTSTRAP=1 cargo_1_85 check -p tidings-codec --lib --no-default-features --features http-body \
  -Zbuild-std=core,alloc --target thumbv7m-none-eabi --quiet 2>"$rust_1_85_target/http-body.log"; then
  echo "http-body compiles without std: change its comment in Cargo.toml, and check it above" >&2
  exit 1
fi
grep -m1 "can't find crate for \`std\`" "$rust_1_85_target/http-body.log"

step "done"
