"""Connections to PostgreSQL, and the causes of those that fail."""

from __future__ import annotations

from typing import Any

import psycopg

from orgrecon_pipeline.postgres.connection.causes import cause_by_state, is_from_server, known_cause
from orgrecon_pipeline.postgres.connection.failure import Cause, ConnectionFailed
from orgrecon_pipeline.postgres.connection.parameters import Parameters, value
from orgrecon_pipeline.postgres.connection.refused_state import refused_state
from orgrecon_pipeline.postgres.errors import is_temporary, sqlstate_meaning

#: Detects a dead peer within about a minute, not within the kernel's two hours.
NETWORK = {"connect_timeout": 10, "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10,
           "keepalives_count": 3, "tcp_user_timeout": 60_000}


def connect(parameters: Parameters, **options: Any) -> psycopg.Connection[Any]:
    """Connect with the given parameters of libpq, and options of psycopg; raise ConnectionFailed if that fails."""
    parameters = {**NETWORK, **parameters}
    if not value("service", parameters):
        # Without any password, OpenSSL would ask on the terminal for the password of an encrypted key, and wait.
        parameters.setdefault("sslpassword", "-")
    try:
        return psycopg.connect(**parameters, **options)
    except (psycopg.Error, OSError, UnicodeError) as error:
        raise ConnectionFailed(_cause(str(error), parameters)) from None


def _cause(text: str, parameters: Parameters) -> Cause:
    if cause := known_cause(text, parameters):
        return cause
    if not is_from_server(text):
        return Cause("libpq reports an unknown problem: try psql with the same URL")
    state = refused_state(parameters)
    if state is None:
        return Cause("the server refuses the connection: see its log", temporary=True)
    if cause := cause_by_state(state):
        return cause
    return Cause(f"the server refuses the connection: {sqlstate_meaning(state)}", is_temporary(state))
