"""Error messages of Postgres and libpq, translated into one sentence without secrets or row values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.reasons import ReasonCode

if TYPE_CHECKING:
    import psycopg

# By SQLSTATE or its class.
_MEANINGS = {
    "0A000": "the statement uses a feature that this server does not support, or not in a read-only transaction",
    "22021": "the data contains text that is not valid UTF-8",
    "22P05": "the data contains text that cannot be converted to UTF-8",
    "22003": "a number is out of the range of its type; cast to a wider type",
    "22007": "a value cannot be read as a date or time",
    "22008": "a date or time is out of the range of its type",
    "22012": "division by zero",
    "22P02": "a value cannot be read as the type to which the mapping casts it",
    "22": "a value cannot be converted to the type that the mapping requires",
    "25006": "the SQL would write, but the transaction is read-only; remove the call that writes",
    "25P03": "the transaction was idle for too long and the server ended it",
    "25P04": "the transaction ran longer than the server's transaction_timeout",
    "28000": "the server refused the login",
    "28P01": "the server rejected the user name or password",
    "2D000": "a function in the mapping ends the transaction and with it the snapshot",
    "3D000": "the database does not exist",
    "40001": "the standby cancelled the read because of a recovery conflict; raise max_standby_streaming_delay",
    "40P01": "the read was the victim of a deadlock",
    "42501": "the role lacks a permission; grant it",
    "42703": "a column does not exist",
    "42846": "the server has no cast between these types",
    "42883": "a function, an operator or the hash of a type does not exist; cast the column in the mapping",
    "42P01": "a table does not exist",
    "42": "the SQL is not valid on this server",
    "53100": "the server's disk is full; free some space",
    "53200": "the server is out of memory; lower its work_mem or the role's",
    "53300": "the server has no free connection slot",
    "53400": "a limit of the server was exceeded; raise temp_file_limit for the role",
    "53": "the server is short of resources",
    "54": "the statement exceeds a limit of the server",
    "55P03": "another session held a lock on a table for longer than lock_timeout_seconds",
    "57014": "the statement was cancelled or exceeded statement_timeout_seconds",
    "57P01": "an administrator terminated the connection",
    "57P02": "the server crashed and is restarting",
    "57P03": "the server is starting up or shutting down",
    "57P05": "the session was idle for too long and the server ended it",
    "57": "the server ended the session",
    "58": "the server cannot read or write a file; see its log",
    "08P01": "the server, or a proxy before it, does not follow the protocol; see its log",
    "08": "the connection was lost",
    "XX001": "data on the server's disk is damaged; see its log, and restore the table from a backup",
    "XX002": "an index on the server's disk is damaged; run REINDEX",
    "XX": "the server reported an internal error; see its log",
}

#: The SQLSTATE if a table, or a column, does not exist.
UNDEFINED_TABLE, UNDEFINED_COLUMN = "42P01", "42703"
_PERMISSION, _FILE, _PROTOCOL = "42501", "58030", "08P01"
_CODES = {"57014": ReasonCode.TIMEOUT}
# A name with a schema in a server's message; its language decides how it is quoted.
_QUALIFIED = re.compile(r"""["'«»„“”‘’「」][^"']+\.[^"']+["'«»„“”‘’「」]""")
# Parts of the server that open its own files. If they may not, its error has the state of a missing permission.
_FILE_MODULES = ("controldata_utils.c", "fd.c", "md.c", "relmapper.c", "slru.c")
# The lock is not available; deadlock.
_NOT_LOCKED = ("55P03", "40P01")

# A session that ended between two statements has the server's last message, but no SQLSTATE.
_ENDED_SESSION = (
    ("terminating connection due to conflict with recovery", "40001"),
    ("terminating connection due to administrator command", "57P01"),
    ("terminating connection because of crash of another server process", "57P02"),
    ("terminating connection due to idle-in-transaction timeout", "25P03"),
    ("terminating connection due to idle-session timeout", "57P05"),
    ("terminating connection due to transaction timeout", "25P04"),
)

# The beginnings of pgbouncer's messages, what they mean, and whether the failure passes. Other errors have their
# SQLSTATE, 08P01, too.
_POOLER = (
    ("transaction blocks not allowed in statement pooling mode", "the pooler (pgbouncer) runs in statement mode, which "
     "allows no transaction; set pool_mode = transaction, or connect to the server itself", False),
    *((beginning, "the URL names the admin console of pgbouncer; name a database in the URL", False)
      for beginning in ("invalid command '", "failure")),
    ("query timeout", "the statement exceeded query_timeout of pgbouncer; raise it, or connect to the server itself",
     True),
    ("idle transaction timeout", "the transaction exceeded idle_transaction_timeout of pgbouncer; raise it, or connect "
     "to the server itself", True),
    ("client_idle_timeout", "the session exceeded client_idle_timeout of pgbouncer; raise it, or connect to the server "
     "itself", True),
    ("query_wait_timeout", "pgbouncer had no free connection to the server; raise its pool size, and check that it "
     "reaches the server", True),
)

# The SQLSTATEs and classes of temporary failures: the connection or server was lost or is overloaded, the transaction
# collided with another, or the server is a standby until the next failover.
_TEMPORARY = ("08", "25006", "25P03", "25P04", "28P01", "40", "53", "55000", "55P03", "57", "58")

# Classes whose server message names tables and columns of the mapping. Messages of other classes can quote rows.
_QUOTABLE = ("42", "3F")
# The name of the function that failed, at the beginning of a line of an error's context. Other lines can quote rows.
_FUNCTION = re.compile(r"""^(?:SQL|PL/\w+) function "?([\w$.]+)""", re.MULTILINE)
# Server functions that refuse permission. Their message names the table, even from within a user's function.
_PERMISSION_CHECKS = ("aclcheck_error", "get_row_security_policies")


class PermissionDenied(CannotDecide):
    """The server refuses a statement for lack of a permission; ``message`` is its own, which names the object."""

    def __init__(self, sentence: str, action: str, message: str) -> None:
        self.action, self.sqlstate, self.message = action, _PERMISSION, message
        super().__init__(sentence, ReasonCode.PERMISSION_DENIED, action=action, sqlstate=_PERMISSION)


class FailedStatement(NamedTuple):
    """Meaning of a failed statement; ``state`` is its SQLSTATE, empty if there is none. See :func:`is_temporary`."""

    state: str
    meaning: str
    temporary: bool


def sqlstate_meaning(state: str) -> str:
    """Return the meaning of an SQLSTATE."""
    return _MEANINGS.get(state) or _MEANINGS.get(state[:2]) or f"the server reported SQLSTATE {state}"


def is_temporary(state: str) -> bool:
    """Return whether a statement or login that failed with an SQLSTATE can succeed later, unchanged."""
    return state.startswith(_TEMPORARY)


def failed_statement(error: Exception) -> FailedStatement:
    """Return what psycopg's error about a statement, or about its connection, means."""
    text, state = str(error), getattr(error, "sqlstate", None)
    for beginning, meaning, temporary in _POOLER:
        if state in (None, _PROTOCOL) and text.startswith(beginning):
            return FailedStatement(_PROTOCOL, meaning, temporary)
    state = state or next((state for words, state in _ENDED_SESSION if words in text), "")
    if state == _PERMISSION and getattr(getattr(error, "diag", None), "source_file", None) in _FILE_MODULES:
        state = _FILE
    if not state:
        return FailedStatement("", "the connection was lost", temporary=True)
    meaning = sqlstate_meaning(state)
    if state == UNDEFINED_TABLE and not _QUALIFIED.search(text.partition("\n")[0]):
        meaning += "; the search_path is empty, so write schema.table"
    return FailedStatement(state, meaning, is_temporary(state))


def cannot_connect(sentence: str, variable: str) -> CannotDecide:
    """Return the error to raise when the connection to the database of an environment variable fails."""
    return CannotDecide(f"cannot connect to the database of {variable}: {sentence}", ReasonCode.CANNOT_CONNECT,
                        variable=variable)


def not_locked(failure: CannotDecide) -> bool:
    """Return whether a statement failed because another session held a lock."""
    return failure.reason.parameters.get("sqlstate") in _NOT_LOCKED


def cannot_read(error: psycopg.Error, action: str) -> CannotDecide:
    """Return the error to raise when a statement fails; ``action`` is what it reads or does."""
    state, meaning, _ = failed_statement(error)
    # An error with a context was raised within a function, whose message can quote rows in any class.
    quotable = state[:2] in _QUOTABLE and (not error.diag.context or error.diag.source_function in _PERMISSION_CHECKS)
    message = error.diag.message_primary if quotable else None
    function = _FUNCTION.search(error.diag.context or "")
    within = f"within the function {function[1]}: " if function else ""
    sentence = f"{action}: {within}{meaning}" + (f" ({_without_literals(message)})" if message else "")
    if state == _PERMISSION:
        return PermissionDenied(sentence, action, error.diag.message_primary or "")
    return CannotDecide(sentence, _CODES.get(state, ReasonCode.CANNOT_READ), action=action, sqlstate=state)


def _without_literals(text: str) -> str:
    # A syntax error can quote string literals from the mapping's SQL.
    return re.sub(r"'[^']*'", "'…'", " ".join(text.split()))[:300]
