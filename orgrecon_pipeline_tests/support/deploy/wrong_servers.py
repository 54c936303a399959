"""HTTP servers that are not a gate: silent, or with an answer that must not release anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from orgrecon_pipeline_tests.support.http_server import serving


@contextmanager
def answering(status: int, body: str, location: str = "") -> Iterator[str]:
    """Serve one answer to every request; yield the address of the gate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as url:
        yield f"{url}/gate"


@contextmanager
def silent() -> Iterator[str]:
    """Accept connections and never answer; yield the address of the gate."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/gate"


def gone() -> str:
    """Return the address of a gate on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/gate"
