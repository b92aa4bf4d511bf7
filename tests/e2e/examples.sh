#!/usr/bin/env bash
# Starts each example as its documentation says, on a free port, and uses it.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
running=
finish() {
  [ -z "$running" ] || { kill "$running" && wait "$running"; } 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# The history of this run alone, and not in the checkout.
export TIDINGS_DATA=$work/history

# Starts a server; its URL is in $url.
start() {
  # Here, not by the server's own redirection: the last server's URL would be read before that one runs.
  : > "$work/server"
  "$@" > "$work/server" 2>&1 &
  running=$!
  for _ in $(seq 300); do
    url=$(grep -o 'http://[^ ]*' "$work/server" | head -n 1 || true)
    [ -n "$url" ] && return
    kill -0 "$running"
    sleep 0.1
  done
  echo "$* does not say where it listens" >&2
  return 1
}

built=$PWD/target/debug
[ -x "$built/examples/axum_hub" ] || { echo "$built/examples/axum_hub is missing; run: cargo build --workspace --all-features --examples" >&2; exit 1; }

# Runs an example in the place of the shell that calls it: in the background, its process ID is $!.
example() {
  exec "$built/examples/$1" "${@:2}"
}

stop() {
  kill "$running"
  wait "$running" || true
  running=
}

# Follows a stream until a line matches, or fails after a time. The server ends curl, when it is stopped.
expect() {
  timeout 20 grep -m 1 -- "$1" <(exec curl -sN "$2") || { echo "$2 does not bring '$1'" >&2; return 1; }
}

echo "axum_handler: a handler that streams"
start example axum_handler 127.0.0.1:0
curl -sf "$url" | grep EventSource > "$work/page"
expect '^data: 19$' "${url}countdown"
# A client that comes back goes on where it was, and one that has seen the end is not served again.
expect '^data: 6$' "${url}countdown?lastEventId=7"
[ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Last-Event-ID: 0' "${url}countdown")" = 204 ]
stop

echo "axum_hub: a hub inside an application"
start example axum_hub 127.0.0.1:0
curl -sf "$url" | grep EventSource > "$work/page"
[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST "${url}orders/tea")" = 201 ]
expect '^data: one tea$' "${url}hub/topics/orders?from=start"
stop

echo "axum_and_client: a stream that is interrupted, and resumes"
(example axum_and_client) > "$work/numbers"
[ "$(grep -c '^open$' "$work/numbers")" = 3 ]
[ "$(grep -x '[0-9]*' "$work/numbers" | tr '\n' ' ')" = "1 2 3 4 5 6 7 8 9 10 " ]
grep -q 'resuming after 4$' "$work/numbers"
[ "$(tail -n 1 "$work/numbers")" = over ]

echo "llm_answer: an answer, as it comes"
start python3 tests/e2e/llm_stand_in.py
export OPENAI_BASE_URL=$url
[ "$(export OPENAI_API_KEY=right; example llm_answer Who are you?)" = "I am a stand-in, not an LLM." ]
# An answer that is cut is no answer, and a refusal tells why.
fails_with() {
  local expected=$1
  shift
  if (example llm_answer "$@") > "$work/answer" 2>&1; then
    echo "llm_answer takes it for an answer: $(cat "$work/answer")" >&2
    return 1
  fi
  grep -q -- "$expected" "$work/answer" || { cat "$work/answer" >&2; return 1; }
}
OPENAI_API_KEY=right fails_with Unfinished cut
OPENAI_API_KEY=wrong fails_with 'Incorrect API key' Who are you?
stop

echo "exactly_once: a follower that is killed four times"
hub() {
  exec "$built/tidings" serve --listen 127.0.0.1:0
}
tidings() {
  "$built/tidings" "$@"
}
start hub
export TIDINGS_HUB=${url%/}
events=$work/events.jsonl
: > "$events"
follow() {
  example exactly_once "$TIDINGS_HUB/topics/lines?from=start" "$events" 2>> "$work/follow"
}
for round in 1 2 3 4; do
  seq $((round * 200 - 199)) $((round * 200)) | tidings publish lines --lines > "$work/published"
  follow &
  follower=$!
  # It is killed in the middle of this round's events.
  until [ "$(wc -l < "$events")" -ge $((round * 200 - 120)) ]; do
    kill -0 "$follower"
    sleep 0.01
  done
  kill -KILL "$follower"
  wait "$follower" 2>/dev/null || true
  echo "killed after $(wc -l < "$events") of $((round * 200)) events"
  # What a kill in the middle of a write would leave.
  printf '["half a' >> "$events"
done
tidings publish lines --close finished < /dev/null > "$work/published"
(follow)
# All is there, once and in order, and then the end of the topic.
diff <(seq 800; echo finished) <(python3 -c 'import json, sys; [print(json.loads(line)[2]) for line in sys.stdin]' < "$events")
[ "$(grep -c '^resuming after' "$work/follow")" = 4 ]

echo "reqwest: the same topic through reqwest, and the code of docs/from-reqwest-eventsource.md"
cargo test --quiet --manifest-path examples/reqwest/Cargo.toml
cargo run --quiet --manifest-path examples/reqwest/Cargo.toml -- "$TIDINGS_HUB/topics/lines?from=start" > "$work/reqwest"
diff <(seq -f 'message: %.0f' 800; echo 'close: finished') "$work/reqwest"
stop
