"""Reads an answer with OpenAI's SDK, and prints what it made of it, in JSON: read_with_openai.py chat|responses QUESTION"""

import json
import sys

from openai import OpenAI

interface, question = sys.argv[1:]
client = OpenAI(max_retries=0)
text = ""

if interface == "chat":
    messages = [{"role": "user", "content": question}]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    response = client.chat.completions.with_raw_response.create(model="any", messages=messages, **options)
    for chunk in response.parse():
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish_reason = choice.finish_reason
        usage = chunk.usage
    end = [finish_reason, usage.completion_tokens > 0]
else:
    response = client.responses.with_raw_response.create(model="any", input=question, stream=True)
    numbers = []
    for event in response.parse():
        numbers.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            text += event.delta
    end = [event.type, numbers == list(range(len(numbers))), event.response.output_text == text]

print(json.dumps({"text": text, "end": end, "location": response.headers["Location"]}))
