"""What Postgres said, as one sentence without a secret or a value of a row."""

from __future__ import annotations

import re

import psycopg

from orgrecon_pipeline.domain.errors import CannotDecide

# SQLSTATE, or its class, and what it means for the comparison. The server's own words are added only for the
# classes in _QUOTED: those name tables and columns of the mapping, others can quote rows.
_MEANING = {
    "57014": "the statement was cancelled or ran into statement_timeout_seconds",
    "55P03": "a table was locked by somebody else for longer than lock_timeout_seconds",
    "57P01": "the connection was terminated by the server's administrator",
    "57P02": "the server crashed and is restarting",
    "57P03": "the server is starting up or shutting down",
    "57P05": "the session was idle for too long and was ended by the server",
    "25P03": "the transaction was idle for too long and was ended by the server",
    "0A000": "the mapping asks for something that this server cannot do, or not while it only reads",
    "25006": "the mapping's SQL would write, and here is only read",
    "2D000": "a function of the mapping ends the transaction, and with it the snapshot",
    "25P04": "the transaction ran longer than the server's transaction_timeout",
    "40001": "the standby cancelled the read because of a recovery conflict; raise max_standby_streaming_delay",
    "40P01": "the read was the victim of a deadlock",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has no free connection slot",
    "53400": "a configured limit of the server was exceeded",
    "28000": "the server refused the login",
    "28P01": "the server refused user or password",
    "3D000": "the database does not exist",
    "42501": "permission is refused",
    "42883": "a function, operator or hash of a type does not exist; cast the column in the mapping",
    "42P01": "a table does not exist; the search_path is empty, so write schema.table",
    "42703": "a column does not exist",
    "22021": "there is text that is not valid UTF-8",
    "22P05": "there is text that UTF-8 cannot express",
    "22": "a value cannot be read as the type that the mapping asks for",
    "42": "the mapping's SQL is not valid here",
    "08": "the connection was lost",
    "53": "the server is short of resources",
    "57": "the server ended the session",
    "XX": "the server reports an internal error",
}
_QUOTED = ("42", "3F")
# Where the server itself refuses permission, in a function or not: it names the table.
_REFUSING = ("aclcheck_error", "get_row_security_policies")

# Of a session that was ended between two statements libpq has the server's last words, and no SQLSTATE: the one it had.
_ENDED = (
    ("conflict with recovery", "40001"),
    ("administrator command", "57P01"),
    ("crash of another server process", "57P02"),
    ("idle-in-transaction timeout", "25P03"),
    ("idle-session timeout", "57P05"),
    ("transaction timeout", "25P04"),
)

# Nor for a connection that was never made; its English words are all there is.
_CONNECT = (
    ("password authentication failed", "the server refused user or password"),
    ("no password supplied", "the server wants a password and the DSN has none"),
    ("authentication failed", "the server refused the login"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf does not admit this client"),
    ("too many clients", "the server has no free connection slot"),
    ("connection slots", "the server has no free connection slot"),
    ("too many connections", "the server has no free connection slot"),
    ("starting up", "the server is starting up"),
    ("shutting down", "the server is shutting down"),
    ("recovery mode", "the server is in recovery and admits nobody yet"),
    ("resolve host", "the host name cannot be resolved"),
    ("translate host name", "the host name cannot be resolved"),
    ("Name or service not known", "the host name cannot be resolved"),
    ("could not access file", "the server cannot load a library that the role or the database asks for"),
    ("Connection refused", "nothing listens at that host and port"),
    ("No such file or directory", "there is no such socket"),
    ("unrecognized configuration parameter", "the server does not know a setting that the DSN or the role asks for"),
    (" value: \"", "a parameter of the DSN has a value that is not allowed"),
    ("invalid integer value", "a parameter of the DSN has a value that is not allowed"),
    ("invalid value for parameter", "the server refuses the value of a setting that the DSN or the role asks for"),
    ("invalid response", "what listens there is no PostgreSQL server"),
    ("expected authentication request", "what listens there is no PostgreSQL server"),
    ("timeout", "the server did not answer in time"),
    ("SSL", "the TLS connection could not be made"),
    ("definition of service", "the service is not defined in pg_service.conf"),
    ("does not exist", "the database or role does not exist"),
    ("permission denied", "the login is not permitted"),
)


def cannot_connect(error: Exception, variable: str) -> CannotDecide:
    """Why a connection could not be made."""
    text = str(error)
    for words, meaning in _CONNECT:
        if words in text:
            return CannotDecide(f"cannot connect to the database of {variable}: {meaning}")
    return CannotDecide(f"cannot connect to the database of {variable}")


def cannot_read(error: psycopg.Error, doing: str) -> CannotDecide:
    """Why a statement failed; ``doing`` says what was being read, as in ``org_units.source``."""
    state = error.sqlstate or next((state for words, state in _ENDED if words in str(error)), "")
    meaning = _MEANING.get(state) or _MEANING.get(state[:2])
    if meaning is None:
        meaning = f"the server answered with SQLSTATE {state}" if state else "the connection was lost"
    # What a function says of itself (it has a context) can quote rows, whatever the class of its error.
    own_words = not error.diag.context or error.diag.source_function in _REFUSING
    words = error.diag.message_primary if state[:2] in _QUOTED and own_words else None
    quoted = f" ({_one_line(words)})" if words else ""
    return CannotDecide(f"{doing}: {meaning}{quoted}")


def _one_line(text: str) -> str:
    # String literals of the mapping's SQL may be quoted in a syntax error; what stands in '' is cut.
    return re.sub(r"'[^']*'", "'…'", " ".join(text.split()))[:300]
