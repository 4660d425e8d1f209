"""A web server that answers as a test chooses, for the tests of HTTP destinations."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def http_server(answer):
    """A web server: `answer(method, path)` gives (status, content type, body)."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content_type, body = answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self._reply()

        def do_POST(self):
            self._reply()

        def log_message(self, *_):
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def refusing_first(status, body=b"{}"):
    """Return the answers of a server that refuses the first upload, and the list of its uploads."""
    uploads = []

    def answer(method, path):
        if method == "POST" and path.endswith(("/instances", "/studies")):
            uploads.append(path)
            if len(uploads) == 1:
                return status, "application/json", body
            return 200, "application/json", b'{"ID": "x", "Status": "Success"}'
        return (200, "application/json", b"[]") if method == "POST" else (404, "text/plain", b"")

    return answer, uploads


def failed_sop(uid: str, reason: int) -> bytes:
    """Return a STOW-RS response with one failed instance (PS3.18 annex I)."""
    item = {
        "00081155": {"vr": "UI", "Value": [uid]},
        "00081197": {"vr": "US", "Value": [reason]},
    }
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()
