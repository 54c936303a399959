"""A local web server that receives messages from Apprise's ``json://`` and answers with a chosen status."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orgrecon_pipeline_tests.support.http_server import serving


class Webhook(ThreadingHTTPServer):
    """``messages`` holds the received messages. The answer is ``status``, sent once ``release`` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        self.release = threading.Event()
        self.release.set()

    def url(self, secret: str = "") -> str:
        """Return the URL, with the secret, if any, in its user, password, path and query."""
        login = f"{secret}u:{secret}p@" if secret else ""
        return f"json://{login}127.0.0.1:{self.server_port}/hook/{secret}?+X-Token={secret}x"

    @property
    def titles(self) -> list[str]:
        """The titles of the received messages."""
        return [message["title"] for message in self.messages]


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.append(json.loads(body))
        self.server.release.wait(60)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running_webhook() -> Iterator[Webhook]:
    """Run a webhook for the length of the block."""
    server = Webhook()
    with serving(server):
        try:
            yield server
        finally:
            server.release.set()
