"""Where a database is. The one place that sees a DSN as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.postgres.libpq_parameters import unfit_parameter

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9_]+)?://", re.IGNORECASE)


@dataclass(frozen=True)
class Dsn:
    """The parameters of a connection. Its ``repr`` shows none of them."""

    parameters: dict[str, Any] = field(repr=False, hash=False)

    @classmethod
    def parse(cls, text: str, variable: str) -> Dsn:
        """Read a ``postgres://``, ``postgresql://`` or ``postgresql+driver://`` URL, sockets and services included.

        Args:
            text: the DSN.
            variable: the environment variable that it came from, for the error.

        Raises:
            ConfigurationError: without any part of the DSN in it.
        """
        text = text.strip()
        scheme = _SCHEME.match(text)
        if scheme is None:
            raise ConfigurationError(
                f"{variable} is not a Postgres URL: write postgresql://user:password@host:5432/database."
            )
        try:
            # libpq's own parser: several hosts, ?host=/socket/dir and service= mean what they mean everywhere.
            parameters = conninfo_to_dict("postgresql://" + text[scheme.end():])
        except (ProgrammingError, UnicodeError, ValueError):
            raise ConfigurationError(
                f"{variable} cannot be read as a Postgres URL: percent-encode special characters in user and "
                "password (@ is %40, / is %2F, % is %25) and use only libpq's parameters after '?'."
            ) from None
        if "@" in str(parameters.get("host", "")):
            raise ConfigurationError(f"{variable} holds more than one '@': write the ones in the password as %40.")
        for port in str(parameters.get("port", "")).split(","):
            if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ConfigurationError(f"{variable} has a port that is not a number from 1 to 65535: correct it.")
        if unfit := unfit_parameter(parameters):
            raise ConfigurationError(f"{variable}: {unfit}.")
        return cls(parameters)


@dataclass(frozen=True)
class Endpoint:
    """A database, and the environment variable that names it, for messages."""

    dsn: Dsn
    variable: str


@dataclass(frozen=True)
class Endpoints:
    """Where the two sides are."""

    source: Endpoint
    target: Endpoint

    @property
    def one_database(self) -> bool:
        """Whether both are reached in the same way, and so by one connection and in one snapshot."""
        return self.source.dsn.parameters == self.target.dsn.parameters
