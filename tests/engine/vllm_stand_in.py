"""Stands in for `vllm serve`: answers with what it was started with, loads adapters by name, and can die on request."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

loaded = ["base"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._json({"data": [{"id": name} for name in loaded]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/load_lora_adapter":
            Path(body["lora_path"]).stat()
            time.sleep(0.2)
            if body["lora_name"] in loaded:
                return self._json({"object": "error", "message": "The lora adapter has already been loaded."}, 400)
            loaded.append(body["lora_name"])
            self._json("Success: LoRA adapter added successfully.")
        elif self.path == "/v1/unload_lora_adapter":
            loaded.remove(body["lora_name"])
            self._json("Success")
        else:
            self._chat(body)
        return None

    def _chat(self, body: dict[str, Any]) -> None:
        if body["model"] not in loaded:
            return self._json({"object": "error", "message": f"no model {body['model']}"}, 404)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        question = body["messages"][-1]["content"]
        texts = {"pid": [str(os.getpid())], "arguments": [json.dumps(sys.argv[1:])]}.get(question, [body["model"], "!"])
        for text in texts:
            self._event({"choices": [{"index": 0, "delta": {"content": text}}]})
        if question == "stay":
            time.sleep(60)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(texts)}})
        self.wfile.write(b"data: [DONE]\n\n")
        return None

    def _event(self, value: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, value: Any, status: int = 200) -> None:
        if self.headers["authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            status, value = 401, {"error": "Unauthorized"}
        content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain" if isinstance(value, str) else "application/json")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    assert sys.argv[1] == "serve"
    if os.environ.get("STAND_IN_FAILS"):
        sys.exit("CUDA out of memory")
    sys.stderr.write("Loading safetensors checkpoint shards: 100%\n")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
