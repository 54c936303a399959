"""Connections to PostgreSQL, and the causes of those that fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from orgrecon_pipeline.postgres.connection.causes import Cause, ConnectionFailed, is_from_server, known_cause
from orgrecon_pipeline.postgres.connection.refused_state import refused_state
from orgrecon_pipeline.postgres.errors import is_temporary, sqlstate_meaning

#: Detects a dead peer within about a minute, not within the kernel's two hours.
NETWORK = {"connect_timeout": 10, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10,
           "keepalives_count": 3, "tcp_user_timeout": 60_000}


def connect(parameters: Mapping[str, Any], **options: Any) -> psycopg.Connection[Any]:
    """Connect with the given parameters of libpq, and options of psycopg; raise ConnectionFailed if that fails."""
    parameters = {**NETWORK, **parameters}
    try:
        return psycopg.connect(**parameters, **options)
    except (psycopg.Error, OSError, UnicodeError) as error:
        raise ConnectionFailed(_cause(str(error), parameters)) from None


def _cause(text: str, parameters: Mapping[str, Any]) -> Cause:
    if cause := known_cause(text):
        return cause
    if not is_from_server(text):
        return Cause("libpq reports an unknown problem: try psql with the same URL")
    state = refused_state(parameters)
    if state is None:
        return Cause("the server refuses the connection: see its log", temporary=True)
    return Cause(f"the server refuses the connection: {sqlstate_meaning(state)}", is_temporary(state))
