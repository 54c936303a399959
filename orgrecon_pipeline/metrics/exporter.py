"""The HTTP server that Prometheus scrapes: ``/metrics`` and ``/healthz``."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import CollectorRegistry

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.metrics.collector import EvidenceCollector, registry_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DEFAULT_PORT = 9464


class _Server(ThreadingMixIn, WSGIServer):
    # A scrape that hangs on the ledger must not keep the probe from being answered, nor the process from ending.
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 30  # seconds; a client that sends nothing must not hold a thread for ever

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes and probes are not worth a line each."""


def make_exporter(collector: EvidenceCollector, *, host: str = "0.0.0.0", port: int = DEFAULT_PORT) -> WSGIServer:  # noqa: S104
    """A bound server: call ``serve_forever`` on it, and ``shutdown`` from another thread.

    It listens on every interface unless told otherwise: in a pod the scraper comes from outside, and nothing
    that it can read names a tenant. ``port`` 0 takes a free one (``server_port``).

    Raises:
        ConfigurationError: when the address cannot be bound.
    """
    return make_metrics_server(registry_of(collector), host=host, port=port)


def make_metrics_server(registry: CollectorRegistry, *, host: str, port: int) -> WSGIServer:
    """The same for any registry."""
    metrics = make_wsgi_app(registry)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _plain(start_response, "405 Method Not Allowed", "only GET\n")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if path == "/healthz":
            # The process, not the ledger: a restart heals no ledger, and orgrecon_ledger_up says that it is down.
            return _plain(start_response, "200 OK", "ok\n")
        return _plain(start_response, "404 Not Found", "try /metrics or /healthz\n")

    try:
        return make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such port"
        is_elsewhere = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        option = "--host" if is_elsewhere else "--port"
        raise ConfigurationError(f"cannot listen on {host}:{port} ({why}): choose another {option}.") from None


def serve(server: WSGIServer) -> None:
    """Answer until SIGTERM or SIGINT, then return. For the main thread of a process.

    The first process of a container has no default reaction to SIGTERM: without a handler every rollout would
    wait for its whole grace period.
    """

    def stop(_signal: int, _frame: object) -> None:
        # shutdown() waits for serve_forever, which runs in this very thread.
        threading.Thread(target=server.shutdown, daemon=True).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.serve_forever()
    finally:
        server.server_close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _plain(start_response: StartResponse, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]
