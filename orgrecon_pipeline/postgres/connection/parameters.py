"""Parameters of a connection, from the URL or from PG… environment variables, and what is wrong with them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg.pq import Conninfo

from orgrecon_pipeline.postgres.connection.failure import Cause

#: Parameters of libpq by name, as the URL contains them.
Parameters = Mapping[str, Any]

_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def value(name: str, parameters: Parameters) -> str:
    """Return the value of a parameter: of the URL, or else of its environment variable; empty if neither has it."""
    return str(parameters.get(name) or os.environ.get(_variables().get(name, ""), ""))


def invalid_value(parameters: Parameters, name: str) -> Cause:
    """Return that a parameter has an invalid value, and where it comes from."""
    variables = _variables()
    if name not in variables:  # quoted by the message, but not the name of a parameter
        return Cause("a parameter of the URL or a PG… environment variable has an invalid value: correct it")
    if parameters.get(name) or not os.environ.get(variables[name]):
        return Cause(f"{name} has an invalid value: correct it in the URL or in the service file")
    return Cause(f"the environment variable {variables[name]} has an invalid value: correct or unset it")


def missing_password(parameters: Parameters) -> Cause:
    """Return that the server requires a password, and why the password file contains none."""
    try:
        file = os.stat(value("passfile", parameters) or Path.home() / ".pgpass")
    except (OSError, RuntimeError, ValueError):
        return Cause("the server requires a password, but the URL contains none: add it")
    if stat.S_IMODE(file.st_mode) & _OPEN_TO_OTHERS:
        return Cause("the server requires a password, and the password file is ignored because others may read it: "
                     "run chmod 600 on the file")
    return Cause("the server requires a password, but the URL contains none, and no line of the password file matches "
                 "the host, port, database and user: add it")


def unknown_role(parameters: Parameters) -> Cause:
    """Return the cause of a role that does not exist. Without a name in the URL, it is the operating system's user."""
    if not value("user", parameters) and not value("service", parameters):
        return Cause("the URL names no user, and no role has the name of this user of the operating system: write "
                     "postgresql://user:password@…")
    return Cause("the role does not exist: create it, or correct the user name in the URL")


def _variables() -> dict[str, str]:
    """Return the environment variables of the parameters, empty for a parameter that has none."""
    return {option.keyword.decode(): (option.envvar or b"").decode() for option in Conninfo.get_defaults()}
