# shellcheck shell=bash
# Rust 1.85, the oldest that Tidings supports. To be sourced in the repository's root.
#
# The compiler and the sources of its standard library come from Debian 12's package archive (`rustc-web`,
# `rust-web-src`). They are unpacked below the target directory, and not installed. The first use downloads 135 MB.

rust_1_85_version=1.85.0+dfsg3-1~deb12u3
rust_1_85_target=${CARGO_TARGET_DIR:-$PWD/target}
rust_1_85=$rust_1_85_target/debian-rust-1.85

# Unpacks the compiler, unless it is there, and shows its version.
install_rust_1_85() {
  if [ ! -x "$rust_1_85/usr/bin/rustc" ]; then
    rm -rf "$rust_1_85" "$rust_1_85.part" && mkdir -p "$rust_1_85.part/packages"
    (
      cd "$rust_1_85.part/packages" || exit
      apt-get download --quiet "rustc-web=$rust_1_85_version" "libstd-rust-web-1.85=$rust_1_85_version" \
        "libstd-rust-web-dev=$rust_1_85_version" "rust-web-src=$rust_1_85_version" libllvm19
    )
    for package in "$rust_1_85.part"/packages/*.deb; do dpkg-deb -x "$package" "$rust_1_85.part"; done
    rm -r "$rust_1_85.part/packages" && mv "$rust_1_85.part" "$rust_1_85"
  fi
  LD_LIBRARY_PATH="$rust_1_85/usr/lib/x86_64-linux-gnu" "$rust_1_85/usr/bin/rustc" --version
}

# Runs the cargo at hand with the compiler 1.85, in its own target directory. So this proves that the code and the versions
# in Cargo.lock compile with 1.85. It does not prove that a cargo of 1.85 can read the manifests.
cargo_1_85() {
  LD_LIBRARY_PATH="$rust_1_85/usr/lib/x86_64-linux-gnu" RUSTC="$rust_1_85/usr/bin/rustc" \
    CARGO_TARGET_DIR="$rust_1_85_target/rust-1.85" cargo "$@"
}
