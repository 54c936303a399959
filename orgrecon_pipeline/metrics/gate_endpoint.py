"""The gate over HTTP: 200 while it is OPEN, and 503 for everything else."""

from __future__ import annotations

import hmac
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.errors import ConfigurationError, OrgreconError
from orgrecon_pipeline.operations.clock import read_clock
from orgrecon_pipeline.operations.gate.sources import gather_evidence
from orgrecon_pipeline.operations.gate.tenants import TenantGates

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

GATE_PATH = "/gate"
TENANT_PATH = "/gate/tenants/"

#: Variable with the bearer token that a request for the gate must carry. If it is not set, no token is required.
TOKEN_VARIABLE = "ORGRECON_GATE_TOKEN"

# How long an answer is given again without reading the ledger, and how long a request waits for the ledger, in seconds.
_FRESH_SECONDS = 5.0
_WAIT_SECONDS = 10.0
_MAX_TENANT_BYTES = 4_096

_log = logging.getLogger(__name__)


#: WSGI application with the path as its third argument, without the prefix of the server.
GateApp = Callable[["WSGIEnvironment", "StartResponse", str], Iterable[bytes]]


class _Unavailable(Exception):
    """The reason why there is no answer: one sentence without secrets."""

    @classmethod
    def of(cls, error: Exception) -> _Unavailable:
        """Return the reason for an error. Only the message of an OrgreconError is known to contain no secret."""
        if isinstance(error, OrgreconError):
            return cls(str(error))
        _log.error("cannot decide the gate: %s", type(error).__name__)
        return cls(f"internal error ({type(error).__name__}): see the exporter's log")


class GateCache:
    """Reads the gates at most once in some seconds, in one thread at a time, and never gives an old answer instead."""

    def __init__(
        self, read: Callable[[], TenantGates], now: Callable[[], datetime], *, fresh_seconds: float = _FRESH_SECONDS,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        """
        Args:
            read: reads the gates; raises an error if it cannot.
            now: returns the current time.
            fresh_seconds: how long gates are used after they were read.
            wait_seconds: how long a request waits until they are read.
        """
        self.now, self.fresh_seconds = now, fresh_seconds
        self._read, self._wait_seconds = read, wait_seconds
        self._done = threading.Condition()
        self._reading = False
        self._reads = 0
        self._read_at = -math.inf
        self._outcome: TenantGates | _Unavailable = _Unavailable("the ledger was not read yet")

    def get(self) -> TenantGates:
        """Return gates that were read within the last ``fresh_seconds``; raise _Unavailable if there are none."""
        with self._done:
            if time.monotonic() - self._read_at >= self.fresh_seconds:
                if not self._reading:
                    self._reading = True
                    threading.Thread(target=self._refresh, daemon=True).start()
                reads = self._reads
                if not self._done.wait_for(lambda: self._reads > reads, self._wait_seconds):
                    raise _Unavailable(f"the ledger did not answer within {self._wait_seconds:g} s")
            if isinstance(self._outcome, _Unavailable):
                raise _Unavailable(str(self._outcome))
            return self._outcome

    def _refresh(self) -> None:
        started = time.monotonic()  # evidence that arrives during the read is in the next answer
        outcome: TenantGates | _Unavailable
        try:
            outcome = self._read()
        except Exception as error:  # any error must end the wait of the requests
            outcome = _Unavailable.of(error)
        with self._done:
            self._outcome, self._reading, self._reads = outcome, False, self._reads + 1
            self._read_at = -math.inf if isinstance(outcome, _Unavailable) else started
            self._done.notify_all()


def gate_app(cache: GateCache, token: str | None) -> GateApp:
    """Return the application that answers requests for :data:`GATE_PATH` and below."""

    def app(environ: WSGIEnvironment, start_response: StartResponse, path: str) -> Iterable[bytes]:
        if token and not _authorised(environ.get("HTTP_AUTHORIZATION", ""), token):
            return _respond(start_response, HTTPStatus.UNAUTHORIZED, _closed("the bearer token is missing or wrong"),
                            [("WWW-Authenticate", 'Bearer realm="orgrecon"')])
        try:
            tenant = _tenant_of(path, environ.get("QUERY_STRING", ""))
        except ValueError as error:
            return _respond(start_response, HTTPStatus.BAD_REQUEST, _closed(str(error)))
        if tenant is None and path != GATE_PATH:
            return _respond(start_response, HTTPStatus.NOT_FOUND, _closed(f"try {GATE_PATH} or {TENANT_PATH}NAME"))
        try:
            gates = cache.get()
            is_open, answer = _answer(gates, tenant)
        except _Unavailable as why:
            return _respond(start_response, HTTPStatus.SERVICE_UNAVAILABLE, _closed(str(why)))
        except Exception as error:  # an OPEN must not depend on code that failed
            return _respond(start_response, HTTPStatus.SERVICE_UNAVAILABLE, _closed(str(_Unavailable.of(error))))
        seconds = (gates.company.valid_until - cache.now()).total_seconds()
        if is_open and seconds <= 0:
            is_open, answer = False, {**answer, **_closed("the evidence is older than yesterday")}
        if not is_open:
            return _respond(start_response, HTTPStatus.SERVICE_UNAVAILABLE, answer)
        etag = f'"{sha256_of(answer)}"'
        headers = [("ETag", etag), ("Cache-Control", f"private, max-age={min(int(seconds), int(cache.fresh_seconds))}")]
        if etag in (environ.get("HTTP_IF_NONE_MATCH") or "").replace("W/", "").split(", "):
            return _respond(start_response, HTTPStatus.NOT_MODIFIED, None, headers)
        return _respond(start_response, HTTPStatus.OK, answer, headers)

    return app


def open_gate_app(settings: Settings) -> GateApp:
    """Return the application for the ledger of the settings, with the token of :data:`TOKEN_VARIABLE`."""
    clock = read_clock(settings.environ)
    token = settings.environ.get(TOKEN_VARIABLE, "").strip()  # a secret that was read from a file ends with a newline
    return gate_app(GateCache(lambda: read_gates(settings), clock.now), token)


def read_gates(settings: Settings) -> TenantGates:
    """Return the gates according to the ledger.

    Raises:
        OrgreconError: if there is no ledger, or it cannot be read.
    """
    # A copy reads the mapping again: the file may have changed since the last question.
    evidence = gather_evidence(replace(settings), trail=None)
    if evidence.ledger is None:
        raise ConfigurationError("there is no ledger: run orgrecon report once, or check ORGRECON_LEDGER_URL.")
    return TenantGates(evidence)


def _answer(gates: TenantGates, tenant: str | None) -> tuple[bool, dict[str, Any]]:
    """Return whether the gate is OPEN, and its public fields."""
    company = gates.company.as_json_value()
    if tenant is None:
        return gates.company.open, company
    answer = gates.of(tenant)
    shared = {name: company[name] for name in ("migration", "environment", "ledger", "as_of", "valid_until")}
    return answer.open, {**shared, **answer.as_json_value()}


def _tenant_of(path: str, query: str) -> str | None:
    """Return the tenant that a path asks for, None for another path; raise ValueError if the name is not clear."""
    if not path.startswith(TENANT_PATH):
        return None
    if query:
        # Perhaps the end of a name with an unquoted question mark, whose beginning is another tenant.
        raise ValueError("a tenant's gate has no query: quote a ? in the name as %3F")
    # WSGI gives the bytes of a path as Latin-1.
    name = path[len(TENANT_PATH):].encode("latin-1")
    if not name or len(name) > _MAX_TENANT_BYTES or b"\0" in name:
        raise ValueError("the path names no tenant that can exist")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the name of the tenant is not UTF-8") from None


def _authorised(header: str, token: str) -> bool:
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token.encode())


def _closed(reason: str) -> dict[str, Any]:
    return {"state": "CLOSED", "reason": reason}


def _respond(
    start_response: StartResponse, status: HTTPStatus, answer: dict[str, Any] | None,
    headers: Iterable[tuple[str, str]] = (("Cache-Control", "no-store"),),
) -> Iterable[bytes]:
    body = b"" if answer is None else json.dumps(answer, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    length = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))] if answer is not None else []
    start_response(f"{status.value} {status.phrase}", [*headers, *length])
    return [body]
