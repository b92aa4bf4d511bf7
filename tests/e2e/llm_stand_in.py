"""A stand-in for an LLM: answers POST /v1/chat/completions in OpenAI's dialect, always with the same words.

Prints its URL. A key other than `right` is refused, and `cut` as the question gets an answer without its end.
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ["I", " am", " a", " stand-in", ",", " not", " an", " LLM", "."]


class Completions(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or body["stream"] is not True:
            self.refuse(404, "only streamed chat completions are here")
        elif self.headers["Authorization"] != "Bearer right":
            self.refuse(401, "Incorrect API key provided")
        else:
            self.stream(body["model"], cut=body["messages"][-1]["content"] == "cut")

    def refuse(self, status, message):
        body = json.dumps({"error": {"message": message}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, model, cut):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.delta(model, {"role": "assistant", "content": ""})
        for word in WORDS:
            self.delta(model, {"content": word})
            time.sleep(0.02)
        if not cut:
            self.delta(model, {}, "stop")
            self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def delta(self, model, delta, finish_reason=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": model, "choices": [choice]}
        self.event(json.dumps(chunk))

    def event(self, data):
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Completions)
print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
server.serve_forever()
