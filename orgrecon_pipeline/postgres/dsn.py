"""DSNs of databases and of the ledger: parsing, validation, and the pair of endpoints that is compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from orgrecon_pipeline.domain.errors import ConfigurationError

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+[a-z0-9_]+)?://", re.IGNORECASE)

_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
    "sslcertmode": ("disable", "allow", "require"),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"),
}
_INTEGERS = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
             "tcp_user_timeout", "sslcompression", "sslsni")
_UNKNOWN_PARAMETER = re.compile(r'invalid URI query parameter: "(\w{1,40})"', re.ASCII)
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,9}\s*", re.ASCII)


@dataclass(frozen=True)
class Dsn:
    """Parameters of a connection. The ``repr`` shows none of them."""

    parameters: dict[str, Any] = field(repr=False, hash=False)

    @staticmethod
    def is_postgres(text: str) -> bool:
        """Return whether the text starts with a scheme that :meth:`parse` accepts."""
        return _SCHEME.match(text.strip()) is not None

    @classmethod
    def parse(cls, text: str, variable: str) -> Dsn:
        """Parse a ``postgres://``, ``postgresql://`` or ``postgresql+driver://`` URL.

        Unix sockets (``?host=/dir``), several hosts and ``service=`` are accepted, as libpq accepts them. A DSN that is
        not valid raises ConfigurationError: the message names ``variable``, which holds it, but no part of the DSN.
        """
        # Imported only here, because commands on a ledger in SQLite parse no DSN and must start fast.
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        text = text.strip()
        scheme = _SCHEME.match(text)
        if scheme is None:
            raise ConfigurationError(
                f"{variable} is not a Postgres URL: write postgresql://user:password@host:5432/database.")
        try:
            parameters = conninfo_to_dict("postgresql://" + text[scheme.end():])
        except (ProgrammingError, UnicodeError, ValueError) as error:
            if problem := _unknown_parameter(str(error), text):
                raise ConfigurationError(f"{variable}: {problem}.") from None
            raise ConfigurationError(
                f"{variable} cannot be parsed as a Postgres URL: percent-encode special characters in the user name "
                "and password (@ is %40, / is %2F, % is %25) and use only libpq parameters after '?'.") from None
        if "@" in str(parameters.get("host", "")):
            raise ConfigurationError(f"{variable} contains more than one '@': write %40 for each '@' in the password.")
        if problem := _invalid_parameter(parameters):
            raise ConfigurationError(f"{variable}: {problem}.")
        return cls(parameters)


@dataclass(frozen=True)
class Endpoint:
    """A database and the environment variable that names it."""

    dsn: Dsn
    variable: str


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of the two sides."""

    source: Endpoint
    target: Endpoint

    @property
    def one_database(self) -> bool:
        """Whether both sides have the same DSN, so that one snapshot covers both."""
        return self.source.dsn.parameters == self.target.dsn.parameters


def _unknown_parameter(error: str, url: str) -> str:
    """Return what is wrong if libpq does not know a parameter of the URL; empty for every other error.

    The name is not shown if it can be a part of the password, which ends with an '@' after the '?'.
    """
    from psycopg.pq import Conninfo

    match = _UNKNOWN_PARAMETER.match(error)
    if match is None or "@" in url.partition("?")[2]:
        return ""
    known = [option.keyword.decode() for option in Conninfo.get_defaults()]
    close = get_close_matches(match[1], known, n=1)
    fix = f"write {close[0]}" if close else "remove it"
    return f"{match[1]} is not a parameter of libpq: {fix}"


def _invalid_parameter(parameters: Mapping[str, Any]) -> str:
    """Return what is wrong with the first invalid parameter, without its value; empty if all are valid."""
    for port in str(parameters.get("port", "")).split(","):
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            return ("the port must be a number from 1 to 65535; in the password, write %2F for each '/', and put an "
                    "IPv6 address into brackets")
    if "replication" in parameters:
        return "replication opens a connection that runs no queries: remove it"
    for name, value in parameters.items():
        text = str(value)
        if name in _INTEGERS and text and not _INTEGER.fullmatch(text):
            return f"{name} must be an integer"
        if text and text not in _CHOICES.get(name, (text,)):
            return f"{name} must be one of {', '.join(_CHOICES[name])}"
    return ""
