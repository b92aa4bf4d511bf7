#!/usr/bin/env bash
# Fuzzes each target in turn: fuzz/run.sh [seconds for each, default 60] [target …]. Stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] ||
  targets=(decode chunks round_trip ndjson topics request ranges database response tokens keys access)
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked

# A stable compiler has the sanitizers as well, behind flags that it only takes from those who ask.
export RUSTC_BOOTSTRAP=1
# SQLite is instrumented too, by a C compiler that makes copies of its constants.
export ASAN_OPTIONS=detect_odr_violation=0
# Databases are opened by the thousand.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
for target in "${targets[@]}"; do
  case $target in
    decode | chunks | round_trip) dictionary=fields length=512 ;;
    tokens | keys) dictionary=tokens length=4096 ;;
    access) dictionary=access length=2048 ;;
    *) dictionary=http length=2048 ;;
  esac
  # The first folder takes new inputs, so that the corpus in the tree grows by choice only.
  mkdir -p "fuzz/target/found/$target"
  printf '\n%s for %s s\n' "$target" "$seconds"
  cargo fuzz run "$target" "fuzz/target/found/$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len="$length" -dict="fuzz/$dictionary.dict" \
    -timeout=60 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0
done
