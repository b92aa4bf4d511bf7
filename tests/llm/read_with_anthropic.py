"""Reads an answer with Anthropic's SDK, and prints what it made of it, in JSON: read_with_anthropic.py QUESTION"""

import json
import sys

from anthropic import Anthropic

client = Anthropic(max_retries=0)
messages = [{"role": "user", "content": sys.argv[1]}]

with client.messages.stream(model="any", max_tokens=200, messages=messages) as stream:
    text = "".join(stream.text_stream)
    message = stream.get_final_message()

end = [message.stop_reason, message.usage.output_tokens > 0, message.content[0].text == text]
print(json.dumps({"text": text, "end": end, "location": stream.response.headers["Location"]}))
