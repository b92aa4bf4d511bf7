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

# Starts an example; its URL is in $url.
start() {
  cargo run --quiet --example "$1" -- 127.0.0.1:0 > "$work/$1" &
  running=$!
  for _ in $(seq 300); do
    url=$(grep -o 'http://[^ ]*' "$work/$1" | head -n 1 || true)
    [ -n "$url" ] && return
    kill -0 "$running"
    sleep 0.1
  done
  echo "$1 does not say where it listens" >&2
  return 1
}

stop() {
  kill "$running"
  wait "$running" || true
  running=
}

# Ends the stream as soon as a line matches, or fails after a time.
expect() {
  { timeout 20 curl -sN "$2" || true; } | grep -m 1 -- "$1" || { echo "$2 does not bring '$1'" >&2; return 1; }
}

echo "axum_handler: a handler that streams"
start axum_handler
curl -sf "$url" | grep -q EventSource
expect '^data: 19$' "${url}countdown"
# A client that comes back goes on where it was, and one that has seen the end is not served again.
expect '^data: 6$' "${url}countdown?lastEventId=7"
[ "$(curl -s -o /dev/null -w '%{http_code}' -H 'Last-Event-ID: 0' "${url}countdown")" = 204 ]
stop

echo "axum_hub: a hub inside an application"
start axum_hub
curl -sf "$url" | grep -q EventSource
[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST "${url}orders/tea")" = 201 ]
expect '^data: one tea$' "${url}hub/topics/orders?from=start"
stop
