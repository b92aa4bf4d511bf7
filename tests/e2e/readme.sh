#!/usr/bin/env bash
# Compares README.zh-CN.md with README.md. Then runs the commands of the README's section "Try it", and looks at what
# they say. They are run as printed, but for the compiling: `cargo run --release --` is the binary that the tests use.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Everything in a README that is the same in each language, one thing a line: the code blocks in their order, the number
# of sections, and the set of links. Links within the page are left out, because headings are translated. Each README
# links to the other.
outline() {
  awk '
    /^ *```/ { if (!inside) { number++; line = 0 } print "code block " number ", line " line++ ": " $0; inside = !inside; next }
    inside { print "code block " number ", line " line++ ": " $0; next }
    /^## / { sections++ }
    END { print sections + 0 " sections (##)" }' "$1"
  awk '/^ *```/ { inside = !inside; next } !inside' "$1" |
    { grep -oE '\]\([^)]+\)|<https?://[^>]+>' || true; } |
    sed -E 's/^(\]\(|<)//; s/[)>]$//; /^#/d; s/^README(\.zh-CN)?\.md$/the README in the other language/; s/^/a link to /' | sort -u
}

compare_translation() {
  local difference
  difference=$(diff --unchanged-line-format= --old-line-format='  README.md: %L' --new-line-format='  README.zh-CN.md: %L' \
    <(outline README.md) <(outline README.zh-CN.md)) && return
  echo "README.zh-CN.md does not match README.md. The first difference is what only this file has:" >&2
  head -n 1 <<< "$difference" >&2
  exit 1
}
compare_translation
echo "README.zh-CN.md has the code, sections and links of README.md"

# The commands of the number-th block of shell in the section.
block() {
  awk -v number="$1" '
    /^## / { inside = ($0 == "## Try it") }
    inside && /^```sh$/ { count++; copying = (count == number); next }
    /^```$/ { copying = 0 }
    copying' README.md
}

work=$(mktemp -d)
hub=
finish() {
  [ -z "$hub" ] || { kill "$hub" && wait "$hub"; } 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

if curl -s -o /dev/null http://127.0.0.1:4400/; then
  echo "port 4400 is taken, and the README's commands use it" >&2
  exit 1
fi

# The history of this run alone, and not in the checkout.
export TIDINGS_DATA=$work/history

binary=$PWD/target/debug/tidings
[ -x "$binary" ] || { echo "$binary is missing; run: cargo build --workspace --all-features" >&2; exit 1; }
# A command of the README, with the binary that is there already.
built() {
  case $1 in
    *"cargo run --release -- "*) printf '%s' "${1//cargo run --release --/$binary}" ;;
    *) echo "'$1' does not begin 'cargo run --release -- '" >&2; return 1 ;;
  esac
}

serve=$(block 1)
echo "\$ $serve"
# exec, so that the process to be ended is the hub.
bash -c "exec $(built "$serve")" 2> "$work/serve" &
hub=$!
for _ in $(seq 600); do
  curl -s -o /dev/null http://127.0.0.1:4400/readyz && break
  kill -0 "$hub" 2>/dev/null || { cat "$work/serve" >&2; exit 1; }
  sleep 0.1
done
# Not `grep -q`: it leaves at the first match, and curl, with the rest of the page in its hands, would fail.
curl -sf http://127.0.0.1:4400/ | grep '<title>Tidings</title>' > "$work/title" || { echo "the page is not there" >&2; exit 1; }

mapfile -t commands < <(block 2)
[ ${#commands[@]} -eq 3 ] || { echo "the README has ${#commands[@]} commands, not 3" >&2; exit 1; }
for command in "${commands[@]:0:2}"; do
  echo "\$ $command"
  case $command in *cargo*) command=$(built "$command") ;; esac
  bash -c "set -o pipefail; $command"
done

# The last one follows the topic until it is ended, here as soon as it has printed everything.
{ echo 'Hello, world'; git log --oneline; } > "$work/expected"
lines=$(wc -l < "$work/expected")
echo "\$ ${commands[2]}"
bash -c "exec $(built "${commands[2]}")" > "$work/printed" 2> "$work/subscribe" &
subscriber=$!
for _ in $(seq 600); do
  [ "$(wc -l < "$work/printed")" -ge "$lines" ] && break
  sleep 0.1
done
kill "$subscriber"
wait "$subscriber" || true
cmp "$work/expected" "$work/printed"
echo "all $lines events came once and in order"
