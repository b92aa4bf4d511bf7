#!/usr/bin/env bash
# Checks the codec with every set of features, with Rust 1.85, for wasm32 and for a target without std.
#
# Needs rustup's or anyone's stable Rust, and Debian 12's package archive: the 1.85 compiler and the sources of its
# standard library come from there (`rustc-web`, `rust-web-src`), unpacked under the target directory, not installed.
# The first run downloads 135 MB and builds `core` and `alloc` for each target.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=1.85.0+dfsg3-1~deb12u3
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
rust=$target_dir/debian-rust-1.85
began=$SECONDS

step() {
  printf '\n[%3d s] %s\n' $((SECONDS - began)) "$1"
}

# cargo, with Debian's rustc 1.85 and a target directory of its own.
cargo_1_85() {
  LD_LIBRARY_PATH="$rust/usr/lib/x86_64-linux-gnu" RUSTC="$rust/usr/bin/rustc" CARGO_TARGET_DIR="$target_dir/rust-1.85" \
    cargo "$@"
}

step "every set of features, this compiler"
# Proves that no feature needs another one that it does not name. Dev-dependencies play no part in a check of the library.
cargo hack --version >/dev/null 2>&1 || cargo install cargo-hack --locked
cargo hack check -p tidings-codec --lib --feature-powerset --quiet

step "the standard library's names since 1.85, by clippy"
# Finds calls of what is newer than `rust-version`, in this crate only, and only what clippy knows the version of.
cargo clippy -p tidings-codec --lib --all-features --quiet -- -D clippy::incompatible_msrv

step "Rust 1.85 from Debian"
if [ ! -x "$rust/usr/bin/rustc" ]; then
  rm -rf "$rust" "$rust.part" && mkdir -p "$rust.part/packages"
  (
    cd "$rust.part/packages"
    apt-get download --quiet "rustc-web=$version" "libstd-rust-web-1.85=$version" "libstd-rust-web-dev=$version" \
      "rust-web-src=$version" libllvm19
  )
  for package in "$rust.part"/packages/*.deb; do dpkg-deb -x "$package" "$rust.part"; done
  rm -r "$rust.part/packages" && mv "$rust.part" "$rust"
fi
LD_LIBRARY_PATH="$rust/usr/lib/x86_64-linux-gnu" "$rust/usr/bin/rustc" --version

step "every feature, Rust 1.85"
# Proves that the crate and the versions of its dependencies in Cargo.lock compile with the oldest Rust it promises. The
# compiler is 1.85, cargo is the one at hand: that a cargo of 1.85 reads the manifests is not proved.
cargo_1_85 check -p tidings-codec --lib --no-default-features --quiet
cargo_1_85 check -p tidings-codec --lib --all-features --quiet

# `core` and `alloc` are built from their sources and nothing else is there: a use of `std` anywhere, a dependency's
# included, fails. Proves that it compiles, not that it runs: nothing is linked, as there is no program.
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
  -Zbuild-std=core,alloc --target thumbv7m-none-eabi --quiet 2>"$target_dir/http-body.log"; then
  echo "http-body compiles without std: change its comment in Cargo.toml, and check it above" >&2
  exit 1
fi
grep -m1 "can't find crate for \`std\`" "$target_dir/http-body.log"

step "done"
