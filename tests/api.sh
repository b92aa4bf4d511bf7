#!/usr/bin/env bash
# Compares the public API of each library crate with the record in its api.txt. `tests/api.sh --write` records it.
#
# A line that is gone or different is a change that breaks users. A type of a dependency in the API is a promise to stay
# with that dependency's version, so only the crates in `allowed` may have one.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.52.0
cargo public-api --version 2>/dev/null | grep -q "$version" || {
  echo "needs: cargo install cargo-public-api@$version --locked" >&2
  exit 69
}

# The list is made from rustdoc's JSON, which only a nightly compiler writes, or a stable one that is told so.
# It has a target directory of its own, because the setting would make cargo compile everything else again.
export RUSTC_BOOTSTRAP=1
CARGO_TARGET_DIR=$(realpath "${CARGO_TARGET_DIR:-target}")/api
export CARGO_TARGET_DIR
result=0
# pin_project_lite stands in bounds that it writes.
allowed="core|alloc|std|tidings_\w+|bytes|futures_core|http|http_body|serde_core|serde_json|tokio|tower_service|axum_core"
allowed="$allowed|pin_project_lite"
for crate in tidings-codec tidings-client tidings-server tidings-hub; do
  record=crates/$crate/api.txt
  features=--all-features
  # `fuzzing` and `contract` are no part of the API.
  case $crate in
    tidings-client) features="--features gzip,http2,tls" ;;
    tidings-hub) features="--features access-file,gateway,jwks,tls" ;;
  esac
  # Derived and automatic implementations are left out: Debug, Send and their like.
  # shellcheck disable=SC2086 # two words
  api=$(cargo public-api -p "$crate" $features -sss 2>/dev/null)
  if foreign=$(grep -oP '(?<![:\w])[a-z_]\w*(?=::)' <<< "$api" | sort -u | grep -vxE "$allowed"); then
    echo "$crate has types of these crates in its API: $foreign" >&2
    result=1
  fi
  if [ "${1:-}" = --write ]; then
    printf '%s\n' "$api" > "$record"
  else
    diff --unified=0 --label "$record" --label "now" "$record" - <<< "$api" || result=1
  fi
done
exit $result
