"""SQLSTATE with which a server refuses a connection. libpq shows only the text, which can be in any language."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

_SECONDS = 10.0
# In libpq's trace: the fields of the server's error, among them the SQLSTATE.
_STATE = re.compile(rb'ErrorResponse\t.* C "([0-9A-Z]{5})"')


def refused_state(parameters: Mapping[str, Any]) -> str | None:
    """Try to connect once more, and return the SQLSTATE of the server's refusal; None if it cannot be read.

    This works on Linux only: libpq writes its trace, which may contain the password, to a file in memory.
    """
    with suppress(psycopg.Error, OSError, AttributeError, ValueError):
        trace = os.memfd_create("orgrecon")
        try:
            _connect(make_conninfo(**parameters), trace)
            os.lseek(trace, 0, os.SEEK_SET)
            states = _STATE.findall(os.read(trace, 65_536))
        finally:
            os.close(trace)
        return states[0].decode() if states else None
    return None


def _connect(conninfo: str, trace: int) -> None:
    """Connect until the server accepts or refuses, trace the messages, and close the connection."""
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        connection.trace(trace)
        connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
        end = time.monotonic() + _SECONDS
        while (state := connection.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            sockets = [connection.socket]
            reading = state == pq.PollingStatus.READING
            ready = select.select(sockets if reading else [], [] if reading else sockets, [],
                                  max(0.0, end - time.monotonic()))
            if not any(ready):
                return
        connection.untrace()
    finally:
        connection.finish()
