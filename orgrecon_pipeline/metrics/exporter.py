"""The exporter, an HTTP server with ``/metrics``, ``/gate`` and ``/healthz``, and the metrics as a file."""

from __future__ import annotations

import contextlib
import errno
import re
import signal
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import write_to_textfile
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import CollectorRegistry

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.metrics.collector import EvidenceCollector, make_registry
from orgrecon_pipeline.metrics.gate_endpoint import GateApp

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


_LONGEST_BODY = 65_536  # bytes; what webhooks post is much shorter
_MOST_CONNECTIONS = 256  # each has a thread
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Server(ThreadingMixIn, WSGIServer):
    # A scrape that waits for the ledger must block neither the probe nor the end of the process.
    daemon_threads = True
    request_queue_size = 128  # connections that wait to be accepted

    def __init__(self, *arguments: Any, most_connections: int = _MOST_CONNECTIONS, **options: Any) -> None:
        self._free = threading.BoundedSemaphore(most_connections)
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or refuse it at once if there are too many."""
        if self._free.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except BaseException:  # no thread was started, so none releases
                self._free.release()
                raise
            return
        with contextlib.suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _QuietHandler(WSGIRequestHandler):
    timeout = 30  # seconds; a client that sends nothing must not occupy a thread forever

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing for scrapes and probes."""


def make_exporter(
    registry: CollectorRegistry, gate: GateApp | None = None, *, host: str, port: int, path_prefix: str = "",
    most_connections: int = _MOST_CONNECTIONS,
) -> WSGIServer:
    """Return a bound server for a registry, and for the gate if it is given.

    Call its ``serve_forever``, and ``shutdown`` from another thread. Port 0 chooses a free port (``server_port``).
    Paths are expected with ``path_prefix`` before them, such as ``/orgrecon``; ``/healthz`` also answers without it.
    More than ``most_connections`` at a time are refused with 503.

    Raises:
        ConfigurationError: if the server cannot listen on the address, or the prefix is not a path.
    """
    metrics, prefix = make_wsgi_app(registry), _prefix(path_prefix)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD")
        of_gate = gate and (path == f"{prefix}/gate" or path.startswith(f"{prefix}/gate/"))
        # Webhooks of deployment tools can only post.
        if method not in (("GET", "HEAD", "POST") if of_gate else ("GET", "HEAD")):
            return _plain(start_response, "405 Method Not Allowed", "use GET\n")
        if not _discard_body(environ):
            return _plain(start_response, "413 Content Too Large", "send no body\n")
        if path in ("/healthz", f"{prefix}/healthz"):
            # Only the process: restarting it does not repair a ledger, whose state is orgrecon_ledger_up.
            return _plain(start_response, "200 OK", "ok\n")
        if path == f"{prefix}/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if gate and of_gate:
            return gate(environ, start_response, path[len(prefix):])
        return _plain(start_response, "404 Not Found", f"try {prefix}/metrics, {prefix}/gate or /healthz\n")

    try:
        server = _Server((host, port), _QuietHandler, most_connections=most_connections)
        server.set_app(app)
        return server
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "the port does not exist"
        is_host = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        option = "--host" if is_host else "--port"
        raise ConfigurationError(f"cannot listen on {host}:{port} ({why}): choose another {option}.") from None


def _discard_body(environ: WSGIEnvironment) -> bool:
    """Read the body of a request, and return whether it is short enough.

    A connection that is closed while it holds unread data is reset, and the client may lose the answer.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if not re.fullmatch("[0-9]{1,9}", length) or int(length) > _LONGEST_BODY:
        return False
    try:
        environ["wsgi.input"].read(int(length))
    except OSError:  # the client sent less than it announced
        return False
    return True


def _prefix(text: str) -> str:
    prefix = text.rstrip("/")
    if prefix and not (prefix.startswith("/") and prefix.isascii() and prefix.isprintable()):
        raise ConfigurationError(f"--path-prefix {text[:80]!a} is not a path: write it as in /orgrecon.")
    return prefix


def serve(server: WSGIServer) -> None:
    """Serve until SIGTERM or SIGINT, then return. Call it in the main thread.

    The first process of a container ignores SIGTERM unless it has a handler, and every rollout would wait for the
    whole grace period.
    """

    def stop(_signal: int, _frame: object) -> None:
        # In another thread, because shutdown() waits for serve_forever, which runs in this one.
        threading.Thread(target=server.shutdown, daemon=True).start()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.serve_forever()
    finally:
        server.server_close()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _plain(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]


def write_textfile(path: Path, collector: EvidenceCollector) -> None:
    """Write the current metrics to a file, atomically, for the textfile collector of node_exporter.

    The file is also written if the ledger does not answer (``orgrecon_ledger_up 0``), because an old file would look
    as if nothing had changed.

    Raises:
        ConfigurationError: if the file cannot be written.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):  # such as /dev/stdout, which must stay a device
            raise OSError(errno.EINVAL, "not a regular file")
        write_to_textfile(str(path), make_registry(collector))
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the metrics to {path} ({error.strerror}): check --textfile and its directory.") from None
