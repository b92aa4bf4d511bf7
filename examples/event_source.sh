#!/bin/sh
# Serves event_source.html as a website, and runs a hub that lists the website's origin. Ctrl-C ends both.
#
#     sh examples/event_source.sh [SITE_PORT [HUB_PORT]]
#
# It needs Python for the website, and builds the hub with Cargo unless TIDINGS_BIN names a binary.
set -eu
cd "$(dirname "$0")/.."
site=http://localhost:${1:-8000}
hub=127.0.0.1:${2:-4400}

tidings=${TIDINGS_BIN:-}
if [ -z "$tidings" ]; then
  cargo build --quiet --release --package tidings
  tidings=${CARGO_TARGET_DIR:-target}/release/tidings
fi

python3 -m http.server "${site##*:}" --bind localhost --directory examples &
trap 'kill $!' EXIT
trap 'exit 130' INT TERM
echo "The page   $site/event_source.html?hub=http://$hub"
"$tidings" serve --listen "$hub" --allow-origin "$site"
