#!/usr/bin/env bash
# Installs what the tests with language models need, once, into folders that git ignores: the model, and the official SDKs.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/model/install.sh
npm ci --prefix examples/gateway --no-audit --no-fund

requirements=examples/gateway/requirements.txt
venv=tests/llm/.venv
if ! cmp --silent "$requirements" "$venv/installed"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --no-input --disable-pip-version-check --requirement "$requirements"
  cp "$requirements" "$venv/installed"
fi
