"""A local web server that takes what Apprise's ``json://`` sends, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook(ThreadingHTTPServer):
    """``got`` holds the messages; ``status`` is what is answered, after ``release`` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, Any]] = []
        self.status = 200
        self.release = threading.Event()
        self.release.set()

    def url(self, secret: str = "") -> str:
        """The address, with a secret in user, password, path and query where one is given."""
        login = f"{secret}u:{secret}p@" if secret else ""
        return f"json://{login}127.0.0.1:{self.server_port}/hook/{secret}?+X-Token={secret}x"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.got]


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.server.release.wait(60)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()
