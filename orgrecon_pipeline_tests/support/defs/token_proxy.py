"""A reverse proxy that forwards requests with a token and sends all others to a login page."""

from __future__ import annotations

import http.server
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from orgrecon_pipeline_tests.support.http_server import serving


@contextmanager
def token_proxy(target: str, header: str, value: str) -> Iterator[str]:
    """Run a proxy in front of the web server at ``target``; yield its URL, which has the same path."""
    parts = urlsplit(target)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get(header) is None:
                self._respond(302, b"", "text/plain", Location="https://login.example.com/?next=dagster")
            elif self.headers[header] != value:
                self._respond(401, b"<html>wrong token</html>", "text/html")
            else:
                request = urllib.request.Request(
                    f"http://{parts.netloc}{self.path}", data=content, headers={"Content-Type": "application/json"})
                try:
                    with urllib.request.urlopen(request, timeout=60) as response:
                        self._respond(response.status, response.read(), response.headers["Content-Type"])
                except urllib.error.HTTPError as error:
                    self._respond(error.code, error.read(), error.headers["Content-Type"])

        def _respond(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
            self.send_response(status)
            for name, text in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}{parts.path}"
