"""Asks a model through a gateway with OpenAI's SDK, loses the connection in the middle, and goes on where it was.

    OPENAI_BASE_URL=http://127.0.0.1:4400/v1 OPENAI_API_KEY=any python3 openai_python.py "Why is the sky blue?"

The gateway keeps the answer, so the model is asked once, and paid once. MODEL says which.
"""

import os
import sys
import uuid

from openai import OpenAI

client = OpenAI()
question = sys.argv[1]

# Requests with the same key count as one request. The SDK's own retries send the key too.
key = str(uuid.uuid4())


def ask():
    return client.chat.completions.create(
        model=os.environ.get("MODEL", "any"),
        messages=[{"role": "user", "content": question}],
        stream=True,
        extra_headers={"Idempotency-Key": key},
    )


def show(chunk):
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)


# A train enters a tunnel after ten chunks.
seen = 0
with ask() as stream:
    for chunk in stream:
        show(chunk)
        seen += 1
        if seen == 10:
            break
print("\n--- the connection is lost; sending the same request again ---", file=sys.stderr)

# The same request finds the same answer: the chunks so far at once, and the rest as it arrives. The chunks are the
# same, so those already seen are skipped.
with ask() as stream:
    for number, chunk in enumerate(stream):
        if number >= seen:
            show(chunk)
print()
