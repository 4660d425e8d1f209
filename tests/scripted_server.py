"""An HTTP server with scripted answers: it stands for the server of a model."""

import json
import re
import socketserver
import threading


class ScriptedServer(socketserver.ThreadingTCPServer):
    """An HTTP server on a free port of the loopback interface that answers by a script.

    Args:
        script: Called with the number of a request from 0 and its parsed body; returns the bytes of the
            whole response, or an iterator of pieces that are sent one by one.

    Attributes:
        requests: The raw bytes of each request in the order in which they came.
        broken_off: Set when a client closed its connection in the middle of a response.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _ScriptedConnection)
        self.script, self.requests = script, []
        self.stopped, self.broken_off = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        """The root of its API."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def bodies(self):
        """The parsed bodies of the requests."""
        return [json.loads(raw.partition(b"\r\n\r\n")[2]) for raw in self.requests]

    def number(self, raw):
        """Record a request and return its number."""
        with self._lock:
            self.requests.append(raw)
            return len(self.requests) - 1

    def stop(self):
        """End the server and every response that waits."""
        self.stopped.set()
        self.shutdown()
        self.server_close()

    # The possible results of a script.

    def whole(self, status, body=b"", *headers):
        """Return a whole response."""
        lines = [
            f"HTTP/1.1 {status} X",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def json(self, content, status=200, *headers):
        """Return a whole response that holds JSON."""
        body = json.dumps(content).encode()
        return self.whole(status, body, "Content-Type: application/json", *headers)

    def chat(self, text, *, model="judge", finish="stop", usage=(1300, 60), **message):
        """Return a chat completion."""
        choice = {
            "message": {"role": "assistant", "content": text} | message,
            "finish_reason": finish,
        }
        tokens = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        return self.json({"model": model, "choices": [choice], "usage": tokens})

    def events(self, pieces, *, model="judge", finish="stop", seconds=0.0, done=True):
        """Yield a chat completion as server-sent events, `seconds` between two pieces."""
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        for piece in pieces:
            yield self.event({"delta": {"content": piece}, "finish_reason": None}, model)
            self.stopped.wait(seconds)
        if done:
            yield self.event({"delta": {}, "finish_reason": finish}, model) + b"data: [DONE]\n\n"

    def event(self, choice, model):
        """Return one server-sent event."""
        return b"data: " + json.dumps({"model": model, "choices": [choice]}).encode() + b"\n\n"

    def silence(self, first=b""):
        """Yield the first bytes, and then nothing until the server is stopped."""
        yield first
        self.stopped.wait(60)


class _ScriptedConnection(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = self.rfile.read(int(length[1])) if length else b""
        answer = self.server.script(self.server.number(head + body), json.loads(body or b"null"))
        try:
            for piece in [answer] if isinstance(answer, bytes) else answer:
                self.wfile.write(piece)
        except OSError:
            self.server.broken_off.set()
